"""The fact that a recording ended.

    endings/{sha256(recording id)}.json     in the archive: it ended, and the evidence
    pending-endings/{time}-{sha256}.json    in staging: a marker; it was stopped and isn't announced yet
    endings/{key}.json                      in the archive: the stop that an event of the 2021 preview API announces

The first process that learns of an ending writes it. The Call Automation API answers 404 for a
recording that ended and for an id that doesn't exist (docs/acs-contract.md#states); with this fact
the app can distinguish them.
"""

from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from recording.errors import BadRequest
from recording.model import conversation, layout, pending
from recording.model.events import FileStatusUpdated
from recording.model.pending import PendingEnding
from recording.model.record import Record
from recording.model.stored import Container
from recording.storage.blobs import Blobs
from recording.telemetry import log


class Ending(Record):
    """A recording ended; `at` is the best time that the evidence has, `who` stopped it.

    `recording_key` is the recording whose event announced it, which may claim a wrong id: its manifest has what is
    settled.
    """

    recording_id: str
    conversation_id: str | None = None
    at: datetime
    evidence: Literal["stopped through us", "announced"]
    who: str | None = None
    recording_key: str | None = None


class Endings:
    """Keeps the endings of recordings, and which of them no event has announced yet."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def note(self, ending: Ending) -> None:
        """Record that a recording ended; the first ending that was recorded stays.

        A stop is pending until `clear_announced`. Raises azure-core's errors.
        """
        known = await self.find(ending.recording_id)
        if known is None:
            # The marker first: without it a stop that no event announces would stay unnoticed.
            if ending.evidence == "stopped through us":
                await self._blobs.create("staging", _marker(ending), _text(ending))
            if await self._blobs.create("archive", layout.ending_blob(ending.recording_id), _text(ending)):
                return
            known = await self.find(ending.recording_id)
            if known and known != ending:  # another process was faster
                await self._delete_markers(_marker(ending))
        elif ending.evidence == "stopped through us" and known.recording_key is not None:
            # The event that announced it may have claimed a wrong id: the timer compares.
            await self._blobs.create("staging", _marker(ending), _text(ending))

    async def note_announced(self, event: FileStatusUpdated) -> None:
        """Record the ending that a file event announces; without a recording id (2021 preview API) it does nothing."""
        if event.recording_id is None:
            return
        try:
            call = conversation.from_server_call_id(event.server_call_id) if event.server_call_id else None
        except BadRequest:
            call = None
        at = min(event.end or event.time, event.received)
        await self.note(
            Ending(
                recording_id=event.recording_id,
                conversation_id=call,
                at=at,
                evidence="announced",
                recording_key=event.recording_key if event.chunks else None,
            )
        )

    async def clear_announced(self, recording_id: str) -> None:
        """Delete the marker of a recording that is announced, once no other event can contradict that."""
        if known := await self.find(recording_id):
            await self._delete_markers(_marker(known))

    async def find(self, recording_id: str) -> Ending | None:
        """Return the ending of a recording; None if none is known."""
        return await self._read("archive", layout.ending_blob(recording_id))

    async def pending(self) -> list[PendingEnding]:
        """List the recordings that were stopped and aren't announced yet, from the names of their markers."""
        return pending.parse_markers(
            [blob.name async for blob in self._blobs.list_blobs("staging", f"{layout.PENDING}/")]
        )

    async def find_pending(self, one: PendingEnding) -> Ending | None:
        """Return the ending that a marker has; None if the marker is gone or can't be read."""
        return await self._read("staging", one.blobs[0])

    async def assign(self, one: PendingEnding, key: str) -> bool:
        """Assign a stop to an announced recording, once; False if it has another one, or the marker is gone."""
        ending = await self.find_pending(one)
        if ending is None:
            return False
        name = layout.assigned_ending_blob(key)
        if await self._blobs.create("archive", name, _text(ending.model_copy(update={"evidence": "announced"}))):
            return True
        known = await self._read("archive", name)
        return known is not None and known.recording_id == ending.recording_id

    async def assigned(self, key: str) -> str | None:
        """Return the id of the recording whose stop was assigned to an announced one; None if none was."""
        found = await self._read("archive", layout.assigned_ending_blob(key))
        return found.recording_id if found else None

    async def mark_reported(self, one: PendingEnding) -> None:
        """Mark a pending ending as reported, so that it is reported only once."""
        await self._blobs.create("staging", pending.reported_blob(one.blobs[0]), b"{}")

    async def clear(self, one: PendingEnding) -> None:
        """Delete the markers of a pending ending."""
        await self._delete_markers(*one.blobs)

    async def _delete_markers(self, *markers: str) -> None:
        """Delete markers; for each, first the blob that marks it as reported."""
        for marker in markers:
            await self._blobs.delete("staging", pending.reported_blob(marker))
            await self._blobs.delete("staging", marker)

    async def _read(self, where: Container, name: str) -> Ending | None:
        """Read an ending or a marker; None if it doesn't exist or can't be parsed."""
        text = await self._blobs.read(where, name)
        try:
            return Ending.model_validate_json(text) if text else None
        except ValidationError:
            log.error("ending.unreadable", blob=name, next="not touched; inspect it")
            return None


def _text(ending: Ending) -> bytes:
    return ending.model_dump_json(by_alias=True).encode()


def _marker(ending: Ending) -> str:
    return layout.pending_blob(ending.at, ending.recording_id)
