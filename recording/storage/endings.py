"""The fact that a recording ended.

    endings/{sha256(recording id)}.json     in the archive: it ended, and how we know
    pending-endings/{time}-{sha256}.json    in staging: it was stopped and isn't announced yet
    endings/{key}.json                      in the archive: whose event it was, if it was one of 2021

Whoever learns of an ending first writes it. Today's API answers 404 for an ended recording, as it
does for one that never was (docs/acs-contract.md#states): this fact tells the two apart.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from recording.errors import BadRequest
from recording.model import conversation, layout, pending
from recording.model.events import FileStatusUpdated
from recording.model.pending import PendingEnding
from recording.model.stored import Container
from recording.storage.blobs import Blobs
from recording.telemetry import log


class Ending(BaseModel):
    """A recording ended; `at` and `who` as far as the evidence tells."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    recording_id: str
    conversation_id: str | None = None
    at: datetime
    evidence: Literal["stopped through us", "announced"]
    who: str | None = None


async def note(storage: Blobs, ending: Ending) -> None:
    """Note that a recording ended; what was noted before stays.

    A stop is watched over until the recording is announced. Raises azure-core's errors.
    """
    known = await find(storage, ending.recording_id)
    if known is None:
        # The marker first: a fact without one would look like a recording that nobody waits for.
        if ending.evidence == "stopped through us":
            await storage.create("staging", _marker(ending), _text(ending))
        if await storage.create("archive", layout.ending_blob(ending.recording_id), _text(ending)):
            return
        known = await find(storage, ending.recording_id)
        if known and known != ending:  # somebody else was quicker
            await clear(storage, _marker(ending))
    if known and ending.evidence == "announced":
        await clear(storage, _marker(known))


async def note_announced(storage: Blobs, event: FileStatusUpdated) -> None:
    """Note the ending that a file event tells of; one in 2021 doesn't tell which recording it is."""
    if event.recording_id is None:
        return
    try:
        call = conversation.from_server_call_id(event.server_call_id) if event.server_call_id else None
    except BadRequest:
        call = None
    at = event.end or event.time
    await note(storage, Ending(recording_id=event.recording_id, conversation_id=call, at=at, evidence="announced"))


async def find(storage: Blobs, recording_id: str) -> Ending | None:
    """Look up how a recording ended; None if nothing is known of it."""
    return await read(storage, "archive", layout.ending_blob(recording_id))


async def assign(storage: Blobs, one: PendingEnding, key: str) -> bool:
    """Say whose event a recording's is, once and for all; False if it is another's, or the marker is gone."""
    ending = await read(storage, "staging", one.blobs[0])
    if ending is None:
        return False
    name = layout.assigned_ending_blob(key)
    if await storage.create("archive", name, _text(ending.model_copy(update={"evidence": "announced"}))):
        return True
    known = await read(storage, "archive", name)
    return known is not None and known.recording_id == ending.recording_id


async def read(storage: Blobs, where: Container, name: str) -> Ending | None:
    """Read an ending, or the marker of one; one that can't be read counts as none."""
    text = await storage.read(where, name)
    try:
        return Ending.model_validate_json(text) if text else None
    except ValidationError:
        log.error("ending.unreadable", blob=name, next="left alone; look at it")
        return None


async def clear(storage: Blobs, *markers: str) -> None:
    """Take markers away, and what tells of them before."""
    for marker in markers:
        await storage.delete("staging", pending.told(marker))
        await storage.delete("staging", marker)


def _text(ending: Ending) -> bytes:
    return ending.model_dump_json(by_alias=True).encode()


def _marker(ending: Ending) -> str:
    return layout.pending_blob(ending.at, ending.recording_id)
