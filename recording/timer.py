"""Use case: one run of the timer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from recording.archive.finish import Finish
from recording.archive.hand_over import HandOver, next_step
from recording.archive.review import Review
from recording.archive.run import PARALLELISM, Run, TimerReport
from recording.archive.unannounced import UnannouncedWatch
from recording.catalogue.indexing import Indexing
from recording.clock import Clock, utc_now
from recording.intake.poison import PoisonQueues
from recording.model.stored import StoredBlob
from recording.notices import RunNotices, Topic
from recording.storage.recordings import RecordingStore

# Below `functionTimeout` (host.json) and the usual schedule: what isn't reached waits for the next run.
BUDGET_SECONDS = 4 * 60.0


@dataclass(frozen=True)
class TimerRun:
    """One run of the timer: it plans, and queues do the work. Urgent and cheap steps come first.

    `budget_seconds` is for steps 2 to 6, and each recording has a quarter of it at most. A run by hand
    `archives_all` itself: it is made when the functions don't work.
    """

    prepare_archive: Callable[[], Awaitable[None]]
    poison: PoisonQueues
    recordings: RecordingStore
    review: Review
    unannounced: UnannouncedWatch
    hand_over: HandOver
    finish: Finish
    indexing: Indexing
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

        # 2. List staging once; the recording with the oldest deadline comes first.
        in_flight = oldest_first(await self.recordings.in_flight())
        run.in_flight = len(in_flight)

        # 3. Requeue missing chunks, warn of those at risk, find what is due. Half of the time: some must be finished.
        await run.for_each(in_flight, lambda run, key: self.review.one(run, key, in_flight[key]), until=run.half_time)
        # Several are reviewed at once, and a quick one ends before a slow one: the least time left goes first.
        run.report.jobs.sort(key=lambda job: job.announced_at)

        # 4. Report stops that no event has announced, and clear the markers of those that one has.
        all_cleared = await self.unannounced.sweep(run)

        # 5. Queue what is due for the function that archives it, each recording once.
        steps = {key: next_step(run.due[key].whole, now) for key in in_flight if key in run.due}
        if not self.archives_all:
            due = [key for key, step in steps.items() if step == "queue"]
            await run.for_each(due, self.hand_over.one, share=run.quarter, failure="recording.not_handed_over")

        # 6. Archive here what the queue has not archived in time.
        late = [key for key, step in steps.items() if self.archives_all or step == "archive"]
        finish = partial(self.finish.one, seconds=run.quarter, note_endings=not all_cleared)
        await run.for_each(late, finish, share=run.quarter)

        # 7. Write to the search index what is in flight. Last, with seconds of its own: the table may be out of reach.
        await self.indexing.run(run.seen, now, in_flight=in_flight, ran=run.summary())

        run.report.topic_failed = run.notices.failed
        # Chunks of the events accepted in step 1 may be overdue, too: each is queued once.
        jobs = [*run.report.jobs, *run.report.rechecks]
        run.report.messages = list(dict.fromkeys([*messages, *(job.to_message() for job in jobs)]))
        run.log()
        return run.report


def oldest_first(in_flight: dict[str, list[StoredBlob]]) -> dict[str, list[StoredBlob]]:
    """Order recordings by when they were first announced, which sets their deadline."""

    def announced(blobs: list[StoredBlob]) -> str:
        return min((blob.metadata["announced"] for blob in blobs if "announced" in blob.metadata), default="")

    return dict(sorted(in_flight.items(), key=lambda item: announced(item[1])))
