"""Use case: keep the search index in step with what is in flight, what needs an operator, and the trail."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched

from azure.core.exceptions import AzureError

from recording.catalogue.trail import TrailRows
from recording.errors import Misconfigured, describe
from recording.model import layout
from recording.model.index import TimerRan, waiting_rows
from recording.model.manifest import Manifest, write_manifest
from recording.model.recording import InFlightRecording
from recording.model.started import Started
from recording.model.stored import StoredBlob
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore
from recording.storage.starts import StartClaims
from recording.telemetry import log
from recording.workers import run_each

# Recordings whose rows are written together.
_AT_ONCE = 200
_READS = 16
# Endings that one run reads: intake removes what is announced, so these are the exceptions.
_MOST_ENDINGS = 64
# A live recording that is heard of no more: its call, and the time for which the service keeps its files, are over.
_LONGEST_CALL = timedelta(days=2)
_NEVER = datetime.min.replace(tzinfo=UTC)


class Indexing:
    """Writes the rows of what is in flight.

    `retention` is how long ACS keeps a recording, `risk_margin` how long before its deadline a chunk is at risk.
    `forget_erased` deletes rows of what was erased while they were written.
    """

    def __init__(
        self,
        index: Index,
        starts: StartClaims,
        endings: Endings,
        trail: TrailRows,
        keeping: KeepingStore,
        forget_erased: Callable[[Sequence[Manifest]], Awaitable[None]],
        *,
        retention: timedelta,
        risk_margin: timedelta,
        seconds: float = 20.0,
    ) -> None:
        self._index = index
        self._trail = trail
        self._keeping = keeping
        self._forget_erased = forget_erased
        self._starts = starts
        self._endings = endings
        self._retention = retention
        self._risk_margin = risk_margin
        self._seconds = seconds

    async def run(
        self,
        seen: Sequence[InFlightRecording],
        now: datetime,
        *,
        in_flight: Collection[str] | None = None,
        started: Iterable[StoredBlob] = (),
        ran: TimerRan | None = None,
    ) -> None:
        """Write what has changed, and remove live recordings that were announced, matched or expired.

        `in_flight` are the keys of what staging has and the queue doesn't, `started` the markers of starts that could
        not write their row, `ran` is what the run of the timer did. It takes some seconds at most and raises nothing:
        the next run tries again.
        """
        recordings = [one for one in seen if one.events and not _was_archived(one)]
        try:
            async with asyncio.timeout(self._seconds):
                # First what an operator looks at when something is wrong.
                await self._write_waiting(seen, now, in_flight)
                if ran:
                    await self._index.note_run(ran)
                # In flight nothing has an end yet: only who holds them.
                kept = await self._keeping.of_days((one.key for one in recordings), with_retention=False)
                for some in batched(recordings, _AT_ONCE, strict=False):
                    present = await self._present(some)
                    written = {row.summary.recording_key for row in await self._index.write_in_flight(present, kept)}
                    await self._forget_erased([one for one in present if one.recording_key in written])
                await run_each(self._write_live, [marker.name for marker in started], at_once=_READS)
                await self._sweep_live(
                    {layout.recording_digest(r.recording_id) for r in recordings if r.recording_id}, now
                )
                await self._trail.catch_up(now)
        except (AzureError, Misconfigured, TimeoutError) as failed:
            log.warning("index.not_in_step", reason=describe(failed), next="the next run writes what is missing")
        except Exception:
            log.exception("index.not_in_step", next="the next run writes what is missing")

    async def _write_waiting(
        self, seen: Sequence[InFlightRecording], now: datetime, in_flight: Collection[str] | None
    ) -> None:
        looked_at = {one.key for one in seen}
        wanted: dict[str, tuple[str, str]] = {}
        for recording in seen:
            wanted |= waiting_rows(recording, now, self._risk_margin)

        def is_settled(key: str) -> bool:
            return key in looked_at or (in_flight is not None and key not in in_flight)

        await self._index.write_waiting(wanted, is_settled=is_settled)

    async def _present(self, recordings: Iterable[InFlightRecording]) -> list[Manifest]:
        found: list[Manifest] = []

        async def present(recording: InFlightRecording) -> None:
            started = await self._starts.find(recording.recording_id)
            try:
                found.append(write_manifest(recording, archived_at=None, started=started))
            except Exception:
                # What its events and files say may be anything, and must not cost others their rows.
                log.exception("recording.not_indexed", recordingKey=recording.key, next="the next run tries again")

        await run_each(present, recordings, at_once=_READS)
        return found

    async def _write_live(self, marker: str) -> None:
        """Write the row of a recording that was started, unless it has ended, as far as anybody knows."""
        if (started := await self._index.marked_live(marker)) is None:
            return
        if await self._endings.find(started.recording_id) is None:
            await self._index.write_live(started)
        await self._index.unmark_live(marker)

    async def _sweep_live(self, announced: Collection[str], now: datetime) -> None:
        left: list[Started] = []
        for one in await self._index.live():
            if layout.recording_digest(one.recording_id) in announced or self._has_expired(one, now):
                await self._index.forget_live(one.recording_id)
            else:
                left.append(one)
        stopped: list[Started] = []
        for one in sorted(left, key=lambda one: one.at or _NEVER)[:_MOST_ENDINGS]:
            ending = await self._endings.find(one.recording_id)
            if ending and ending.evidence == "announced":
                await self._index.forget_live(one.recording_id)
            elif ending:
                stopped.append(one)
        if stopped:
            # A stop whose marker is gone was matched with an announced recording, or its absence is on record.
            waiting = {one.digest for one in await self._endings.pending()}
            for one in stopped:
                if layout.recording_digest(one.recording_id) not in waiting:
                    await self._index.forget_live(one.recording_id)

    def _has_expired(self, one: Started, now: datetime) -> bool:
        return (one.at or _NEVER) + self._retention + _LONGEST_CALL <= now


def _was_archived(recording: InFlightRecording) -> bool:
    """Return whether the archive has some of its chunks: then a manifest shows it, and not what is in flight."""
    announced = {chunk.document_id for event in recording.events for chunk in event.chunks}
    return announced != {chunk.document_id for chunk in recording.chunks}
