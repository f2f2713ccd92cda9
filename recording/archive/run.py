"""One run of the timer: its time, what it has found so far, and its report."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from azure.core.exceptions import AzureError

from recording.errors import describe
from recording.model.index import TimerRan
from recording.model.job import ChunkJob
from recording.model.manifest import Manifest
from recording.model.recording import InFlightRecording
from recording.notices import RunNotices
from recording.storage.blobs import CopyFailed
from recording.telemetry import log

# Recordings at once that are reviewed, and that are archived by the run itself. Reviews mostly wait: while storage
# fails, each of their requests may take seconds, and what is behind them isn't even queued.
PARALLELISM, FINISHES = 32, 8
# Of the time of a run, for one recording: one that hangs must not keep others from their turn.
_LARGEST_SHARE = 0.25


@dataclass
class TimerReport:
    """What one run did, by recording key.

    `jobs` are the chunks that it requeues, `rechecks` those to be re-checked, and `messages` all that is to be put on
    the chunk queue. `fanned_out` counts the chunks that fan-outs requeue. `handed_over` are put on the queue that
    archives them, `archived` and `incomplete` were archived by the run itself, and `copying` are those whose copies the
    next one continues. `not_kept` counts those whose rows and platform are still to follow what keeps them.
    """

    messages: list[str] = field(default_factory=list)
    jobs: list[ChunkJob] = field(default_factory=list)
    fanned_out: int = 0
    copying: list[str] = field(default_factory=list)
    rechecks: list[ChunkJob] = field(default_factory=list)
    handed_over: list[str] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_reached: int = 0
    not_kept: int = 0
    topic_failed: bool = False


@dataclass(frozen=True)
class Due:
    """A recording that is to be archived.

    `whole` is all that staging has of it, `pending` the same without the chunks that the archive has, and `before` its
    newest manifest, if it was archived before.
    """

    whole: InFlightRecording
    pending: InFlightRecording
    before: Manifest | None


def log_failure(event: str, key: str, failed: Exception, following: str) -> None:
    """Log why a step failed for a recording, and what follows; a failure that isn't expected with its traceback."""
    reason = str(failed) if isinstance(failed, CopyFailed) else describe(failed)
    is_expected = isinstance(failed, (AzureError, CopyFailed, TimeoutError))
    (log.warning if is_expected else log.exception)(event, recordingKey=key, reason=reason, next=following)


@dataclass
class Run:
    """What the steps of one run share, by recording key; `seen` are the recordings in flight."""

    now: datetime
    notices: RunNotices
    seconds: float
    parallelism: int = PARALLELISM
    report: TimerReport = field(default_factory=TimerReport)
    in_flight: int = 0
    seen: list[InFlightRecording] = field(default_factory=list)
    due: dict[str, Due] = field(default_factory=dict)
    # Requests in a row that the archive has not answered.
    archive_silences: int = 0
    _begun: float = field(default_factory=time.monotonic)

    @property
    def half_time(self) -> float:
        """The moment, on the monotonic clock, when half of the run's time is over."""
        return self._begun + self.seconds / 2

    @property
    def left(self) -> float:
        """The seconds until the run's time is over."""
        return max(0.0, self._begun + self.seconds - time.monotonic())

    @property
    def quarter(self) -> float:
        """The longest time for one recording, in seconds."""
        return self.seconds * _LARGEST_SHARE

    async def for_each(
        self,
        keys: Iterable[str],
        step: Callable[["Run", str], Awaitable[None]],
        *,
        until: float | None = None,
        share: float | None = None,
        at_once: int | None = None,
    ) -> list[str]:
        """Do a step for each recording, several at a time, until the run's time is over; return what is left.

        Each has `share` seconds at most; `at_once` is below the run's parallelism.
        """
        end = self._begun + self.seconds if until is None else until
        waiting = iter(list(keys))
        not_reached: list[str] = []

        async def work() -> None:
            for key in waiting:
                left = end - time.monotonic()
                if left <= 0:
                    not_reached.append(key)
                    continue
                await self.do(step, key, seconds=min(left, share or left))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.parallelism, at_once or self.parallelism)):
                group.create_task(work())
        return not_reached

    async def do(
        self,
        step: Callable[["Run", str], Awaitable[None]],
        key: str,
        *,
        seconds: float,
        failure: str = "recording.not_archived",
    ) -> None:
        """Do a step for a recording in so many seconds; its failure, which stops nothing, is logged as this event."""
        try:
            async with asyncio.timeout(seconds):
                await step(self, key)
        except Exception as failed:
            # One recording that can't be worked on must not keep the others from their deadline.
            self.report.failed.append(key)
            log_failure(failure, key, failed, "the next run tries again")

    def forget(self, key: str) -> None:
        """Forget a recording that is in flight no more, since it was erased."""
        self.seen = [one for one in self.seen if one.key != key]

    def summary(self) -> TimerRan:
        """Return what the run did, in numbers."""
        left = [
            chunk.hours_left(self.now)
            for recording in self.seen
            for chunk in recording.chunks
            if not chunk.is_staged and not chunk.is_lost
        ]
        return TimerRan(
            at=self.now,
            in_flight=self.in_flight,
            chunks_in_flight=len(left),
            least_hours_left=min(left) if left else None,
            handed_over=len(self.report.handed_over),
            archived=len(self.report.archived),
            incomplete=len(self.report.incomplete),
            queued_again=len(self.report.jobs) + self.report.fanned_out,
            failed=len(self.report.failed),
            not_reached=self.report.not_reached,
        )

    def log(self) -> None:
        """Log what the run did, as `archive.ran`: alerts and the workbook read it."""
        ran = self.summary()
        log.info(
            "archive.ran",
            inFlight=ran.in_flight,
            chunksInFlight=ran.chunks_in_flight,
            leastHoursLeft=ran.least_hours_left,
            handedOver=ran.handed_over,
            archived=ran.archived,
            incomplete=ran.incomplete,
            queuedAgain=ran.queued_again,
            failed=ran.failed,
            notReached=ran.not_reached,
        )
