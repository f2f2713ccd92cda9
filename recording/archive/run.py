"""What one run of the timer works with, and its report."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from azure.core.exceptions import AzureError

from recording.acs.content import Content
from recording.config.settings import Settings
from recording.model.job import ChunkJob
from recording.model.recording import InFlightChunk, InFlightRecording
from recording.notices import RunNotices
from recording.storage.blobs import Blobs, CopyFailed
from recording.storage.calls import CallIds
from recording.storage.recordings import RecordingStore
from recording.telemetry import log

PARALLELISM = 8


@dataclass
class TimerReport:
    """What one run did, by recording key; `jobs` are to be put on the queue again."""

    jobs: list[ChunkJob] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_reached: int = 0
    topic_failed: bool = False
    archive_silences: int = 0


@dataclass(frozen=True)
class Run:
    """What one run works with; `copies` bounds the server-side copies under way at once.

    `seen` are the recordings in flight, each without the chunks that are archived; `sources` is what is to be deleted
    at ACS when all of them are.
    """

    blobs: Blobs
    recordings: RecordingStore
    calls: CallIds
    settings: Settings
    content: Content
    telling: RunNotices
    now: datetime
    report: TimerReport
    copies: asyncio.Semaphore
    seen: list[InFlightRecording] = field(default_factory=list)
    sources: dict[str, tuple[list[InFlightChunk], InFlightRecording, str]] = field(default_factory=dict)


async def each(
    this: Run,
    keys: list[str],
    step: Callable[[str], Awaitable[None]],
    *,
    until: float,
    share: float | None = None,
    failing: str = "recording.not_archived",
) -> None:
    """Do a step for each recording, several at a time, each within its share of the time."""
    report, waiting = this.report, iter(keys)

    async def work() -> None:
        for key in waiting:
            left = until - time.monotonic()
            if left <= 0:
                report.not_reached += 1
                continue
            try:
                async with asyncio.timeout(min(left, share or left)):
                    await step(key)
            except (AzureError, CopyFailed, TimeoutError) as failed:
                report.failed.append(key)
                reason = str(failed) if isinstance(failed, CopyFailed) else type(failed).__name__
                log.warning(failing, recordingKey=key, reason=reason, next="the next run tries again")
            except Exception as failed:
                # One recording that can't be worked on must not keep the others from their deadline.
                report.failed.append(key)
                reason = type(failed).__name__
                log.exception(failing, recordingKey=key, reason=reason, next="the next run tries again")

    async with asyncio.TaskGroup() as group:
        for _ in range(min(PARALLELISM, len(keys))):
            group.create_task(work())
