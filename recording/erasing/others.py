"""Who holds a recording under another key: an event without the start of its recording leads to a key of its own.

Its files are the same, so what erases them under one key would take them from the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from recording.model import layout
from recording.model.events import FileStatusUpdated
from recording.storage.blobs import Blobs
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore
from recording.storage.recordings import RecordingStore
from recording.workers import run_each

_READS = 16


@dataclass(frozen=True)
class HeldElsewhere:
    """Looks for what is on hold under another key: in flight by all ids of its events, archived by the recording id."""

    blobs: Blobs
    recordings: RecordingStore
    keeping: KeepingStore
    index: Index

    async def cases(self, key: str) -> list[str]:
        """Name the cases, each with the key that it holds; raises azure-core's errors, or Misconfigured."""
        events, _ = await self.recordings.all_events(key)
        ids = _ids(events)
        found = await self._in_flight(key, ids)
        for recording_id in {event.recording_id for event in events if event.recording_id}:
            found |= set(await self.index.keys_of(recording_id))
        return [f"{case}, for {one}" for one in sorted(found - {key}) for case in await self.keeping.cases(one)]

    async def _in_flight(self, key: str, ids: set[str]) -> set[str]:
        """Return those that share an id; only of what is on hold are the events read, which is little of it."""
        staged = {one for one in await self.blobs.folders("staging") if layout.is_recording_key(one)} - {key}
        kept = await self.keeping.of_days(staged, with_retention=False) if ids else {}
        found: set[str] = set()

        async def look(one: str) -> None:
            if ids & _ids((await self.recordings.all_events(one))[0]):
                found.add(one)

        await run_each(look, [one for one, keeps in kept.items() if keeps.holds], at_once=_READS)
        return found


def _ids(events: Iterable[FileStatusUpdated]) -> set[str]:
    """Return the ids of a recording and its documents as digests: a recording id may be padded or not."""
    found = set[str]()
    for event in events:
        found |= {layout.document_digest(chunk.document_id) for chunk in (*event.chunks, *event.exported)}
        found |= {layout.recording_digest(event.recording_id)} if event.recording_id else set()
    return found
