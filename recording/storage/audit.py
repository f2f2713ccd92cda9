"""Who asked for what: one fact per control operation that changes something, written before the answer.

A question for the state is none: a client that polls would fill the archive.

audit/{yyyy}/{MM}/{dd}/{HHmmssffffff}-{operation}-{random}.json     in the archive container
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import batched

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.errors import RecordingError
from recording.model import layout
from recording.model.record import Record
from recording.storage.blobs import Blobs
from recording.telemetry import log, traces

_READS = 16


class AuditRecord(Record, frozen=False):
    """One control operation and what came of it; `outcome` is `ok` or an error code.

    Not frozen: what comes of the operation is added while it is recorded.
    """

    at: datetime
    operation: str
    who: str | None = None
    conversation_id: str | None = None
    recording_id: str | None = None
    operation_context: str | None = None
    outcome: str = "ok"
    status: int = 200


class AuditLog:
    """The control operations on record."""

    def __init__(self, blobs: Blobs, *, timeout: float = 10.0) -> None:
        # A caller waits meanwhile; storage that doesn't answer would hold it for minutes (60 s a try, five tries).
        self._timeout = timeout
        self._blobs = blobs

    @asynccontextmanager
    async def record(self, entry: AuditRecord) -> AsyncIterator[AuditRecord]:
        """Do an operation and put it on record, whether it succeeds or not.

        The operation can't be undone: a fact that can't be written is logged in full, as an error, and the answer
        stays true.
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
        """Look up which recordings were started through this app on some days, and when: {recording id: time}."""
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
                        continue  # it says nothing
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
        log.info(f"recording.{entry.operation}", **entry.model_dump(mode="json", by_alias=True, exclude_none=True))
