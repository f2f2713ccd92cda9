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
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from recording.errors import RecordingError
from recording.model import layout
from recording.storage.blobs import Blobs
from recording.telemetry import log, traces

# A caller waits meanwhile; storage that doesn't answer at all would hold it for minutes (60 s a try, five tries).
PATIENCE_SECONDS = 10.0
_READS = 16


class AuditRecord(BaseModel):
    """One control operation and what came of it; `outcome` is `ok` or an error code."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    at: datetime
    operation: str
    who: str | None = None
    conversation_id: str | None = None
    recording_id: str | None = None
    operation_context: str | None = None
    outcome: str = "ok"
    status: int = 200


@asynccontextmanager
async def audited(storage: Blobs, entry: AuditRecord) -> AsyncIterator[AuditRecord]:
    """Do an operation and put it on record, whether it succeeds or not.

    The operation has happened by then: a fact that can't be written is logged whole, as an error,
    and the answer stays true.
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
        traces.control(entry.operation, began=entry.at, code=entry.outcome, **ids)
        await _write(storage, entry)


async def starts(storage: Blobs, days: Iterable[datetime]) -> dict[str, datetime]:
    """Look up which recordings were started through us on some days, and when: {recording id: time}."""
    found: dict[str, datetime] = {}
    for day in days:
        folder = layout.audit_blob(day, "start", "").rpartition("/")[0]
        names = [blob.name async for blob in storage.list_blobs("archive", f"{folder}/") if "-start-" in blob.name]
        for some in batched(names, _READS, strict=False):
            for text in await asyncio.gather(*(storage.read("archive", name) for name in some)):
                try:
                    entry = AuditRecord.model_validate_json(text or b"")
                except ValidationError:
                    continue  # it tells nothing
                if entry.recording_id:
                    found[entry.recording_id] = entry.at
    return found


async def _write(storage: Blobs, entry: AuditRecord) -> None:
    text = entry.model_dump_json(by_alias=True)
    name = layout.audit_blob(entry.at, entry.operation, secrets.token_hex(4))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await storage.create("archive", name, text.encode())
    except (AzureError, TimeoutError) as failed:
        log.error("audit.not_written", reason=type(failed).__name__, entry=entry.model_dump(mode="json", by_alias=True))
    log.info(f"recording.{entry.operation}", **entry.model_dump(mode="json", by_alias=True, exclude_none=True))
