"""The trail: who did what with a recording, one fact each, by day. It outlives the recording.

What hands something out is on record before it happens: if its fact can't be written, nothing is handed out (`write`).
What changes something has happened by the time of its fact, and is never refused for it (`record`): a recording that
can't be stopped while storage is down would go on recording people. Such a fact is in the log instead. Requests for the
state are not on record: a client that polls would fill the archive.

audit/{yyyy}/{MM}/{dd}/{HHmmssffffff}-{action}-{random}.json    in the archive container

The facts are the truth. The search index has a row of each that names a recording, for the view by recording.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import batched

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.clock import Clock, utc_now
from recording.errors import RecordingError, TrailUnavailable, describe
from recording.model import layout
from recording.model.caller import Caller
from recording.model.started import Started
from recording.model.trail import Action, Detail, TrailEntry
from recording.storage.blobs import Blobs
from recording.telemetry import log, traces

# What is looked at again within this time is one fact.
ONE_VIEW = timedelta(minutes=15)
_READS = 16
_DAY = timedelta(days=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
_REMEMBERED = 10_000

# Writes the row of an entry whose fact has this name; raises nothing.
type Note = Callable[[str, TrailEntry], Awaitable[None]]


class Trail:
    """Writes and reads the facts; `note` writes the row of each."""

    def __init__(
        self, blobs: Blobs, *, note: Note | None = None, clock: Clock = utc_now, timeout: float = 10.0
    ) -> None:
        # The caller waits meanwhile; storage that doesn't answer would block it for minutes (five tries of 60 s).
        self._timeout = timeout
        self._blobs = blobs
        self._note = note
        self._clock = clock
        # Names of views that this process has found on record: a client that polls needs no request for each.
        self._viewed: OrderedDict[str, None] = OrderedDict()

    async def write(
        self,
        caller: Caller,
        *,
        action: Action,
        recording: str | None = None,
        recording_id: str | None = None,
        indexes: Iterable[int] | None = None,
        reason: str | None = None,
        correlation_id: str | None = None,
        outcome: str = "ok",
        status: int = 200,
        details: Mapping[str, Detail] | None = None,
    ) -> TrailEntry:
        """Write the fact of something that is done next; `recording` is its key.

        Raises TrailUnavailable if it can't be written: then it must not be done.
        """
        entry = TrailEntry.of(caller, action, self._clock())
        entry.recording_key, entry.recording_id = recording, recording_id
        entry.indexes = None if indexes is None else tuple(indexes)
        entry.reason, entry.correlation_id = reason, correlation_id
        entry.outcome, entry.status = outcome, status
        entry.details = dict(details) if details else None
        await self._require(entry, layout.trail_blob(entry.at, action, secrets.token_hex(4)))
        return entry

    async def write_once(
        self,
        caller: Caller,
        *,
        action: Action,
        recording: str | None = None,
        recording_id: str | None = None,
        conversation_id: str | None = None,
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        """Write the fact that somebody looks at something, once for each quarter of an hour; raises as `write` does.

        Its name follows from what it says, so that processes agree; it stands at the beginning of the quarter.
        """
        entry = TrailEntry.of(caller, action, self._clock())
        entry.recording_key, entry.recording_id, entry.conversation_id = recording, recording_id, conversation_id
        entry.details = dict(details) if details else None
        quarter = entry.at - (entry.at - _NEVER) % ONE_VIEW
        said = entry.model_dump_json(exclude={"at", "request_id", "recording_id", "roles"})
        name = layout.trail_blob(quarter, action, hashlib.sha256(said.encode()).hexdigest()[:16])
        if name not in self._viewed:
            await self._require(entry, name, may_exist=True)
            self._viewed[name] = None
            if len(self._viewed) > _REMEMBERED:
                self._viewed.popitem(last=False)

    @asynccontextmanager
    async def record(self, entry: TrailEntry) -> AsyncIterator[TrailEntry]:
        """Record what the `with` block does, whether it succeeds or not.

        It can't be undone. So a fact that can't be written is logged in full, as an error, and nothing is raised.
        """
        try:
            yield entry
        except RecordingError as failed:
            entry.outcome, entry.status = failed.error_code, failed.http_status
            raise
        except BaseException:
            entry.outcome, entry.status = RecordingError.code, RecordingError.status
            raise
        finally:
            await self._write_if_possible(entry)
            _tell(entry)

    async def starts_on(self, days: Iterable[datetime]) -> dict[str, datetime]:
        """Return the recordings that were started through this app on these days: {recording id: time of the start}."""
        return {entry.recording_id: entry.at for entry in await self._starts(days) if entry.recording_id}

    async def started_on(self, days: Iterable[datetime]) -> list[Started]:
        """List the recordings that were started through this app on these days; raises azure-core's errors."""
        return [
            Started(recording_id=entry.recording_id, conversation_id=entry.conversation_id, at=entry.at)
            for entry in await self._starts(days)
            if entry.recording_id and entry.conversation_id
        ]

    async def days(self, since: datetime | None, until: datetime | None) -> list[datetime]:
        """List the days of [since, until) that have facts, oldest first; raises azure-core's errors."""
        found: list[datetime] = []
        for year in sorted(await self._blobs.folders("archive", f"{layout.TRAIL}/")):
            for month in sorted(await self._blobs.folders("archive", f"{layout.TRAIL}/{year}/")):
                for day in sorted(await self._blobs.folders("archive", f"{layout.TRAIL}/{year}/{month}/")):
                    begin = datetime.fromisoformat(f"{year}-{month}-{day}T00:00:00+00:00")
                    if (until is None or begin < until) and (since is None or since < begin + _DAY):
                        found.append(begin)
        return found

    async def names(self, prefix: str) -> list[str]:
        """List the facts whose names begin so, oldest first; raises azure-core's errors."""
        return [blob.name async for blob in self._blobs.list_blobs("archive", prefix)]

    async def read(self, names: Iterable[str]) -> list[tuple[str, TrailEntry]]:
        """Read facts in the order of their names, without those that can't be parsed; raises azure-core's errors."""
        found: list[tuple[str, TrailEntry]] = []
        for some in batched(names, _READS, strict=False):
            texts = await asyncio.gather(*(self._blobs.read("archive", name) for name in some))
            for name, text in zip(some, texts, strict=True):
                try:
                    found.append((name, TrailEntry.model_validate_json(text or b"")))
                except ValidationError:
                    log.warning("trail.unreadable", fact=name, next="omitted; inspect the blob")
        return found

    async def _starts(self, days: Iterable[datetime]) -> list[TrailEntry]:
        found: list[TrailEntry] = []
        for day in days:
            names = [name for name in await self.names(layout.trail_folder(day)) if "-start-" in name]
            found += [entry for _, entry in await self.read(names)]
        return found

    async def _require(self, entry: TrailEntry, name: str, *, may_exist: bool = False) -> None:
        """Write a fact, or raise TrailUnavailable."""
        try:
            await self._write(entry, name, may_exist=may_exist)
        except (AzureError, TimeoutError) as failed:
            log.error(
                "trail.not_written",
                operation=entry.action,
                recordingKey=entry.recording_key,
                reason=describe(failed),
                next="refused with 503: nothing is handed out that is not on record",
            )
            raise TrailUnavailable("this can't be put on record now, so it was not done; try again") from None

    async def _write(self, entry: TrailEntry, name: str, *, may_exist: bool = False) -> None:
        async with asyncio.timeout(self._timeout):
            is_new = await self._blobs.create(
                "archive", name, entry.model_dump_json(by_alias=True, exclude_none=True).encode()
            )
        # A fact with a random name that exists is this one: the answer to an earlier try was lost.
        if self._note and (is_new or not may_exist):
            await self._note(name, entry)

    async def _write_if_possible(self, entry: TrailEntry) -> None:
        try:
            await self._write(entry, layout.trail_blob(entry.at, entry.action, secrets.token_hex(4)))
        except (AzureError, TimeoutError) as failed:
            unwritten = entry.model_dump(mode="json", by_alias=True, exclude_none=True)
            log.error("trail.not_written", reason=describe(failed), entry=unwritten)


def _tell(entry: TrailEntry) -> None:
    """Log a control operation, and add it to the trace of its recording."""
    facts = entry.model_dump(mode="json", by_alias=True, exclude_none=True)
    match entry.action:
        case "start":
            log.info("recording.start", **facts)
        case "stop":
            log.info("recording.stop", **facts)
        case "pause":
            log.info("recording.pause", **facts)
        case "resume":
            log.info("recording.resume", **facts)
        case _:
            return
    ids = {"recording_id": entry.recording_id, "conversationId": entry.conversation_id}
    traces.control_span(entry.action, began=entry.at, code=entry.outcome, **ids)
