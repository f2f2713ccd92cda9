"""Use case: one run of the timer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from secrets import SystemRandom

from recording.archive.finish import Finish
from recording.archive.hand_over import HandOver, next_step
from recording.archive.review import Review
from recording.archive.run import FINISHES, PARALLELISM, Run, TimerReport
from recording.archive.unannounced import UnannouncedWatch
from recording.catalogue.indexing import Indexing
from recording.clock import Clock, utc_now
from recording.control.consents import ConsentControl
from recording.erasing.plan import ErasurePlan
from recording.intake.poison import PoisonQueues
from recording.keeping.ending import RetentionEnds
from recording.keeping.follow import Follow
from recording.keeping.searches import HoldSearches
from recording.model import layout
from recording.model.attempts import LAST_QUARTER
from recording.model.stored import StoredBlob
from recording.notices import RunNotices, Topic
from recording.storage.recordings import RecordingStore

# Below `functionTimeout` (host.json) and the usual schedule: what isn't reached waits for the next run.
BUDGET_SECONDS = 4 * 60.0
# A recording is large with more blobs, or with more bytes of events: those of about a hundred chunks.
MANY_BLOBS, MUCH_TEXT = 256, 64 * 1024


@dataclass(frozen=True)
class TimerRun:
    """One run of the timer: it plans, and queues do the work. Urgent and cheap steps come first.

    `budget_seconds` is for steps 2 to 6, and each recording has a quarter of it, or half of what is left where few
    are late. A run by hand `archives_all` itself: it is made when the functions don't work.
    """

    prepare_archive: Callable[[], Awaitable[None]]
    poison: PoisonQueues
    recordings: RecordingStore
    review: Review
    unannounced: UnannouncedWatch
    hand_over: HandOver
    finish: Finish
    erasures: ErasurePlan
    consents: ConsentControl
    indexing: Indexing
    follow: Follow
    hold_searches: HoldSearches
    ends: RetentionEnds
    topic: Topic
    clock: Clock = utc_now
    budget_seconds: float = BUDGET_SECONDS
    parallelism: int = PARALLELISM
    archives_all: bool = False

    async def run(self) -> TimerReport:
        """Do the steps below; two runs at once do no harm. Return what was done, and what is to be queued."""
        await self.prepare_archive()
        now = self.clock()

        # 1. Take over what the queues gave up: events are accepted here, chunks are requeued in step 3.
        messages = await self.poison.drain(now)
        # The time of the run begins here: queues that hang must not cost the recordings their share.
        run = Run(now, RunNotices(self.topic), self.budget_seconds, self.parallelism)

        # 2. List staging once; the oldest deadline comes first. What waits for the queue is left out. A recording that
        # could not be paused when consent was withdrawn is tried at once: it goes on recording people.
        beside: dict[str, list[StoredBlob]] = {}
        listed = await self.recordings.in_flight(beside=beside)
        await self.consents.pause_pending(beside.get(layout.PAUSES, []))
        in_flight = in_order(listed, late=now - LAST_QUARTER * self.hand_over.retention)
        run.in_flight = len(in_flight)
        in_flight = await self._without_waiting(in_flight, now)

        # 3. Requeue missing chunks, warn of those at risk, and queue each recording that is due for the function that
        # archives it: a run that is killed has queued what it has seen. Half of the time: some must be finished. What
        # its event doesn't name comes after step 4.
        nameless: list[str] = []
        left = await run.for_each(in_flight, partial(self._look, in_flight, nameless), until=run.half_time)

        # 4. Report stops that no event has announced, and clear the markers of those that one has. Whose stop it was
        # decides about the class of a recording that its event doesn't name: its job must not be quicker. If that
        # fails it is queued nevertheless, and its job waits for a stop that may be its own.
        all_cleared = await self.unannounced.sweep(run)
        not_queued = await run.for_each(nameless, self._hand_over)

        # 5. Archive here what the queue has not archived in time. Few may take half of the time that is left. By the
        # function in a random order: those that hang, in each run again, must not always come before the others.
        late = [key for key in in_flight if key in run.due]
        order = late if self.archives_all else SystemRandom().sample(late, len(late))
        share = max(run.quarter, run.left / 2) if len(late) <= min(FINISHES, self.parallelism) else run.quarter
        finish = partial(self.finish.one, seconds=share, note_endings=not all_cleared)
        not_finished = await run.for_each(order, finish, share=share, at_once=FINISHES)

        # 6. Go on with step 3 where time is left; what is due by now is archived by the next run.
        if not self.archives_all:
            left = await run.for_each(left, partial(self._look, in_flight, None))

        run.report.not_reached = len(left) + len(not_queued) + len(not_finished)

        # 7. Queue the erasures whose time has come, and holds that got lost: the same list of staging has them. Let
        # rows and the platform follow what keeps recordings, where a request could not.
        await self.erasures.run(beside.get(layout.ERASURES, []), now)
        await self.hold_searches.requeue(beside.get(layout.PENDING_HOLDS, []), now)
        run.report.not_kept = await self.follow.catch_up(beside.get(layout.PENDING_KEEPING, []))

        # 8. Write to the search index what is in flight. Last, with seconds of its own: the table may be out of reach.
        started = beside.get(layout.PENDING_LIVE, [])
        await self.indexing.run(run.seen, now, in_flight=in_flight, started=started, ran=run.summary())

        # 9. Ask for the erasure of what no class keeps any more: the index says which that may be.
        await self.ends.run(now)

        run.report.topic_failed = run.notices.failed
        # Several are reviewed at once, and a quick one ends before a slow one: the least time left goes first.
        run.report.jobs.sort(key=lambda job: job.announced_at)
        # Chunks of the events accepted in step 1 may be overdue, too: each is queued once.
        jobs = [*run.report.jobs, *run.report.rechecks]
        run.report.messages = list(dict.fromkeys([*messages, *(job.to_message() for job in jobs)]))
        run.log()
        return run.report

    async def _without_waiting(
        self, in_flight: dict[str, list[StoredBlob]], now: datetime
    ) -> dict[str, list[StoredBlob]]:
        """Return all but what waits for the queue; all, if the watch in step 4 needs to know of each recording."""
        left = {key: blobs for key, blobs in in_flight.items() if not self.hand_over.is_waiting(blobs, now)}
        if self.archives_all or (len(left) < len(in_flight) and await self.unannounced.has_overdue(now)):
            return in_flight
        return left

    async def _look(
        self, in_flight: dict[str, list[StoredBlob]], nameless: list[str] | None, run: Run, key: str
    ) -> None:
        """Review a recording, and queue it if it is due; what is left in `run.due` is to be archived by the run.

        One that its event doesn't name is left to the caller in `nameless`, if that is given.
        """
        await self.review.one(run, key, in_flight[key])
        if self.archives_all or key not in run.due:
            return
        due = run.due[key]
        step = next_step(due.whole, run.now)
        if step != "archive":
            del run.due[key]
        if step == "queue" and nameless is not None and due.pending.recording_id is None and due.before is None:
            nameless.append(key)
        elif step == "queue":
            await self._hand_over(run, key)

    async def _hand_over(self, run: Run, key: str) -> None:
        await run.do(self.hand_over.one, key, seconds=run.quarter, failure="recording.not_handed_over")


def in_order(in_flight: dict[str, list[StoredBlob]], *, late: datetime) -> dict[str, list[StoredBlob]]:
    """Order recordings by when they were first announced, which sets their deadline.

    Large ones come after the others, which must not wait for them, unless they were announced before `late`.
    """

    def place(blobs: list[StoredBlob]) -> tuple[bool, str]:
        announced = min((blob.metadata["announced"] for blob in blobs if "announced" in blob.metadata), default="")
        text = sum(blob.size for blob in blobs if "announced" in blob.metadata)
        is_large = len(blobs) > MANY_BLOBS or text > MUCH_TEXT
        return is_large and announced > late.astimezone(UTC).isoformat(), announced

    return dict(sorted(in_flight.items(), key=lambda item: place(item[1])))
