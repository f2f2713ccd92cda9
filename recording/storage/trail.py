"""The trail: who did what with a recording, one fact each, by day. It outlives the recording.

What hands something out is on record before it happens: if its fact can't be written, nothing is handed out (`write`).
A control operation has happened by the time of its fact, and must not be refused for it (`record`): a stop that waits
for storage would go on recording people. Requests for the state are not recorded: a client that polls would fill the
archive.

audit/{yyyy}/{MM}/{dd}/{HHmmssffffff}-{operation}-{random}.json     in the archive container

The facts are the truth. A row of the search index for each serves the view by recording (`note`).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import batched

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.clock import Clock, utc_now
from recording.errors import RecordingError, TrailUnavailable
from recording.model import layout
from recording.model.caller import Caller
from recording.model.trail import Action, Detail, TrailEntry
from recording.storage.blobs import Blobs
from recording.telemetry import log, traces

_READS = 16

# Writes the row of an entry whose fact has this name; it raises nothing.
type Note = Callable[[str, TrailEntry], Awaitable[None]]


class Trail:
    """Writes and reads the facts."""

    def __init__(
        self, blobs: Blobs, *, note: Note | None = None, clock: Clock = utc_now, timeout: float = 10.0
    ) -> None:
        # The caller waits meanwhile; storage that doesn't answer would block it for minutes (five tries of 60 s).
        self._timeout = timeout
        self._blobs = blobs
        self._note = note
        self._clock = clock

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
        try:
            await self._write(entry)
        except (AzureError, TimeoutError) as failed:
            reason = type(failed).__name__
            log.error("trail.not_written", operation=action, recordingKey=recording, reason=reason, next="refused")
            raise TrailUnavailable("the trail can't be written, so this was not done; try again") from None
        return entry

    @asynccontextmanager
    async def record(self, entry: TrailEntry) -> AsyncIterator[TrailEntry]:
        """Record the operation that the `with` block does, whether it succeeds or not.

        The operation can't be undone. So a fact that can't be written is logged in full, as an error, and nothing is
        raised.
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
            ids = {"recording_id": entry.recording_id, "conversationId": entry.conversation_id}
            traces.control_span(entry.action, began=entry.at, code=entry.outcome, **ids)
            await self._write_if_possible(entry)

    async def starts_on(self, days: Iterable[datetime]) -> dict[str, datetime]:
        """Return the recordings that were started through this app on these days: {recording id: time of the start}."""
        found: dict[str, datetime] = {}
        for day in days:
            folder = layout.audit_blob(day, "start", "").rpartition("/")[0]
            listed = self._blobs.list_blobs("archive", f"{folder}/")
            names = [blob.name async for blob in listed if "-start-" in blob.name]
            for some in batched(names, _READS, strict=False):
                for text in await asyncio.gather(*(self._blobs.read("archive", name) for name in some)):
                    try:
                        entry = TrailEntry.model_validate_json(text or b"")
                    except ValidationError:
                        continue  # not a fact of the trail
                    if entry.recording_id:
                        found[entry.recording_id] = entry.at
        return found

    async def _write(self, entry: TrailEntry) -> None:
        name = layout.audit_blob(entry.at, entry.action, secrets.token_hex(4))
        async with asyncio.timeout(self._timeout):
            await self._blobs.create("archive", name, entry.model_dump_json(by_alias=True).encode())
        if self._note:
            await self._note(name, entry)

    async def _write_if_possible(self, entry: TrailEntry) -> None:
        try:
            await self._write(entry)
        except (AzureError, TimeoutError) as failed:
            unwritten = entry.model_dump(mode="json", by_alias=True)
            log.error("trail.not_written", reason=type(failed).__name__, entry=unwritten)
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
                pass
