"""What was erased doesn't come back: what arrived in staging is removed, and nothing of it is archived."""

from collections.abc import Sequence
from dataclasses import dataclass

from recording.model import layout
from recording.model.keeping import NOTHING
from recording.model.manifest import Manifest, write_manifest
from recording.model.recording import InFlightRecording
from recording.model.tombstone import MOST_DOCUMENTS, Match, Named, Tombstone
from recording.storage.blobs import Blobs
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore
from recording.storage.places import Places
from recording.storage.starts import StartClaims
from recording.storage.tombstones import Tombstones
from recording.telemetry import log
from recording.workers import run_each

# Lookups of the documents of a recording of many chunks in a run of the timer; a second has room for them.
_ASKED_AT_ONCE = 256
_REQUESTS = 16


@dataclass(frozen=True)
class ErasedRecordings:
    """Looks for the tombstones of what is in flight, and empties staging and the index under them."""

    tombstones: Tombstones
    blobs: Blobs
    places: Places
    endings: Endings
    index: Index
    keeping: KeepingStore
    starts: StartClaims

    async def by_key(self, key: str) -> Match:
        """Return what the tombstone of a recording key says, as far as the archive answers."""
        return await self.tombstones.find_if_possible(Named.of(key, None, ()), recording_key=key)

    async def find(self, recording: InFlightRecording) -> Match:
        """Return what was erased of a recording in flight, by all its ids; raises azure-core's errors."""
        return await self.tombstones.find(_named(recording))

    async def find_if_possible(self, recording: InFlightRecording, asked: Sequence[str]) -> Match:
        """Return what `find` does, as far as the archive answers.

        One of many chunks would take a request for each: of its documents only some of those asked for are looked up,
        and they don't say that all of it was erased. The jobs of its chunks look for their own.
        """
        named = _named(recording)
        if len(named.documents) <= MOST_DOCUMENTS:
            return await self.tombstones.find_if_possible(named, recording_key=recording.key)
        of_all = Named.of(recording.key, recording.recording_id, ())
        whole = (await self.tombstones.find_if_possible(of_all, recording_key=recording.key)).whole
        if whole or not asked:
            return Match(whole)
        some = Named.of(recording.key, None, asked[:_ASKED_AT_ONCE])
        found = await self.tombstones.find_if_possible(some, recording_key=recording.key)
        return Match(None, found.documents)

    async def empty(self, key: str, stone: Tombstone, *, recording: InFlightRecording | None = None) -> bool:
        """Empty staging of an erased recording, which may have another key, and delete its rows.

        Return False, and leave it, if it has another key and is on hold under that. Without events there is no
        `recording`, and there are no rows. Raises azure-core's errors.
        """
        # Under its own key the erasure writes the tombstone, at last and with all digests: one from here would stay.
        if stone.erasure != layout.key_digest(key):
            if await self._is_held(key):
                return False
            await self.tombstones.add(stone, key)
            # Who places a hold looks for the tombstone after his fact is there.
            if await self._is_held(key):
                return False
        rows = await self._rows(recording) if recording else None
        if rows:
            # Before its events are gone, which alone say where its rows are.
            await self.index.forget(rows, NOTHING)
        if recording:
            await self._remove_endings(recording)
        done = await self.places.empty("staging", [f"{key}/"])
        if rows:
            # And again: the timer may have written them meanwhile. What it writes from now on it forgets itself.
            await self.index.forget(rows, NOTHING)
        log.warning("recording.erased_again", erasure=stone.erasure, removed=sum(done.removed.values()))
        return True

    async def _is_held(self, key: str) -> bool:
        if not (await self.keeping.find(key)).holds:
            return False
        log.error(
            "recording.held_and_erased",
            recordingKey=key,
            reason="it is on hold, and was erased under another key",
            next="it stays in staging until its hold is lifted",
        )
        return True

    async def _rows(self, recording: InFlightRecording) -> Manifest:
        """Return what rows of a recording in flight are made of."""
        started = await self.starts.find(recording.recording_id)
        return write_manifest(recording, archived_at=None, started=started)

    async def _remove_endings(self, recording: InFlightRecording) -> None:
        """Remove what intake and the watch over stops wrote of a recording in flight, with the markers of its stop."""
        if recording.recording_id:
            # Otherwise its stop would be reported as one that nothing has announced.
            await self.endings.clear_announced(recording.recording_id)
        facts = [layout.assigned_ending_blob(recording.key)]
        for recording_id in {event.recording_id for event in recording.events if event.recording_id}:
            known = await self.endings.find(recording_id)
            # An event may claim the id of another recording, whose ending stays.
            if known and known.recording_key == recording.key:
                facts.append(layout.ending_blob(recording_id))
        await self.places.empty("archive", facts)

    async def forget_rows(self, written: Sequence[Manifest]) -> None:
        """Delete rows of recordings in flight that were written while a job emptied staging under a tombstone.

        One list of folders says which are gone from staging; most of those are in the archive. Raises azure-core's
        errors.
        """
        if not written:
            return
        in_flight = set(await self.blobs.folders("staging"))

        async def forget(gone: Manifest) -> None:
            if await self.tombstones.read(layout.key_digest(gone.recording_key)):
                await self.index.forget(gone, NOTHING)

        gone = [one for one in written if one.recording_key not in in_flight]
        await run_each(forget, gone, at_once=_REQUESTS)

    async def remove_documents(self, recording: InFlightRecording, match: Match) -> bool:
        """Remove the chunks of a recording whose documents belong to an erased one; return whether there were any.

        Those of a recording on hold stay; it waits in staging. Raises azure-core's errors.
        """
        found = [
            chunk
            for chunk in recording.chunks
            if chunk.document_id in match.documents and (chunk.content or chunk.metadata)
        ]
        if not found:
            return False
        if await self._is_held(recording.key):
            return True
        for chunk in found:
            prefix = layout.metadata_blob(recording.key, chunk.announced.index, chunk.document_id)
            await self.places.empty("staging", [prefix.removesuffix("json")])
            log.error(
                "chunk.erased_elsewhere",
                recordingKey=recording.key,
                documentId=chunk.document_id,
                next="it counts as lost here: it belongs to an erased recording; inspect the event that names it",
            )
        return True


def _named(recording: InFlightRecording) -> Named:
    documents = (chunk.document_id for event in recording.events for chunk in event.chunks)
    return Named.of(recording.key, recording.recording_id, documents)
