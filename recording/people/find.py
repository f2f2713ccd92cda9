"""Finds the recordings of a person: by the index, and by looking through what the index is made of.

The index is quick, and may lack rows: of a manifest that could not be read, or while the table is made again. What must
be complete reads every manifest, and the facts of what is in flight.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from recording.errors import ManifestUnreadable
from recording.model import index, manifest
from recording.model.export import Progress
from recording.model.manifest import Manifest
from recording.model.participant import normal_participant
from recording.storage.index import Index
from recording.storage.recordings import RecordingStore
from recording.telemetry import log
from recording.workers import run_each

# Manifests that are read before progress is noted: what a kill repeats.
_AT_ONCE = 500
_READS = 16
_PAGE = 1000


@dataclass(frozen=True)
class PersonFinder:
    """Finds recordings by a participant, whose id may be written in any way (`normal_participant`)."""

    recordings: RecordingStore
    index: Index
    at_once: int = _AT_ONCE

    async def indexed(self, participant: str) -> list[str]:
        """List the recordings of a person that the index knows, newest first; raises azure-core's errors."""
        wanted = index.search(await self.index.digests(), participant=participant)
        found: list[str] = []
        token = None
        while True:
            page = await self.index.page(wanted, limit=_PAGE, token=token)
            found += [one.recording_key for one in page.summaries]
            token = page.token
            if token is None:
                return list(dict.fromkeys(found))

    async def in_flight(self, participant: str) -> list[str]:
        """List the recordings in flight whose metadata files name a person; raises azure-core's errors."""
        found: list[str] = []
        for key, blobs in (await self.recordings.in_flight()).items():
            recording = await self.recordings.with_metadata_files(await self.recordings.load(key, blobs))
            if recording.events and names(manifest.write_manifest(recording, archived_at=None), participant):
                found.append(key)
        return found

    async def archived(self, participant: str, *, after: str | None = None) -> AsyncGenerator[Progress]:
        """Look through the archive behind a recording key, the oldest first, and yield after each batch.

        One blob is read for each recording, and its metadata files where an older version wrote the manifest. Raises
        azure-core's errors.
        """
        batch: list[tuple[str, int]] = []
        async for one in self.recordings.manifests(None, None, after=after):
            batch.append(one)
            if len(batch) == self.at_once:
                yield await self._look(batch, participant)
                batch.clear()
        if batch:
            yield await self._look(batch, participant)

    async def _look(self, batch: list[tuple[str, int]], participant: str) -> Progress:
        found: set[str] = set()
        unreadable: set[str] = set()

        async def look(one: tuple[str, int]) -> None:
            key, revision = one
            try:
                written = await self.recordings.manifest(key, revision)
            except ManifestUnreadable:
                log.error("recording.unreadable", recordingKey=key, next="nobody is found by it; inspect its manifest")
                unreadable.add(key)
                return
            if written and names(await self.recordings.described(written), participant):
                found.add(key)

        await run_each(look, batch, at_once=_READS)
        return Progress(last_key=batch[-1][0], found=tuple(sorted(found)), unreadable=tuple(sorted(unreadable)))


def names(written: Manifest, participant: str) -> bool:
    """Return whether a person took part in a recording, as its metadata files say."""
    wanted = normal_participant(participant)
    return any(normal_participant(one.id) == wanted for one in written.participants)
