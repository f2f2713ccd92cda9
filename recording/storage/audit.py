"""Who asked for what: one fact for each control operation that changes something, written before the answer.

Requests for the state are not recorded: a client that polls would fill the archive.

audit/{yyyy}/{MM}/{dd}/{HHmmssffffff}-{operation}-{random}.json     in the archive container
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import batched
from typing import Literal

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.errors import RecordingError
from recording.model import layout
from recording.model.record import Record
from recording.storage.blobs import Blobs
from recording.telemetry import log, traces

_READS = 16

ControlOperation = Literal["start", "stop", "pause", "resume"]


class AuditRecord(Record, frozen=False):
    """One control operation and its result; `outcome` is `ok` or an error code.

    `who` is a name, for people to read; `object_id` and `roles` are those of a token. Not frozen: the result is added
    while the operation runs.
    """

    at: datetime
    operation: ControlOperation
    who: str | None = None
    object_id: str | None = None
    roles: tuple[str, ...] | None = None
    conversation_id: str | None = None
    recording_id: str | None = None
    operation_context: str | None = None
    outcome: str = "ok"
    status: int = 200


class AuditLog:
    """Keeps the records of control operations."""

    def __init__(self, blobs: Blobs, *, timeout: float = 10.0) -> None:
        # The caller waits meanwhile; storage that doesn't answer would block it for minutes (five tries of 60 s).
        self._timeout = timeout
        self._blobs = blobs

    @asynccontextmanager
    async def record(self, entry: AuditRecord) -> AsyncIterator[AuditRecord]:
        """Record the operation that the `with` block does, whether it succeeds or not.

        The operation can't be undone. So a record that can't be written is logged in full, as an error, and nothing
        is raised.
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
            traces.control_span(entry.operation, began=entry.at, code=entry.outcome, **ids)
            await self._write(entry)

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
                        entry = AuditRecord.model_validate_json(text or b"")
                    except ValidationError:
                        continue  # not a record
                    if entry.recording_id:
                        found[entry.recording_id] = entry.at
        return found

    async def _write(self, entry: AuditRecord) -> None:
        text = entry.model_dump_json(by_alias=True)
        name = layout.audit_blob(entry.at, entry.operation, secrets.token_hex(4))
        try:
            async with asyncio.timeout(self._timeout):
                await self._blobs.create("archive", name, text.encode())
        except (AzureError, TimeoutError) as failed:
            unwritten = entry.model_dump(mode="json", by_alias=True)
            log.error("audit.not_written", reason=type(failed).__name__, entry=unwritten)
        facts = entry.model_dump(mode="json", by_alias=True, exclude_none=True)
        match entry.operation:
            case "start":
                log.info("recording.start", **facts)
            case "stop":
                log.info("recording.stop", **facts)
            case "pause":
                log.info("recording.pause", **facts)
            case "resume":
                log.info("recording.resume", **facts)
