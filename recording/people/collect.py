"""Collects what there is about a person: of one recording, and beside the recordings."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from pydantic import ValidationError

from recording.model import layout, manifest
from recording.model.consent import Consent
from recording.model.export import (
    About,
    ExportAsked,
    ExportedFile,
    ExportedRecording,
    MetadataText,
    digest_of,
    masked_metadata,
    others_in,
    read_metadata,
    shown_entry,
    shown_manifest,
)
from recording.model.manifest import Manifest, ManifestChunk
from recording.model.masking import Mask
from recording.model.participant import normal_participant
from recording.model.stored import Container
from recording.model.trail import TrailEntry
from recording.storage.blobs import Blobs
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.storage.trail import Trail
from recording.telemetry import log

_READS = 16
_ENTRIES = 1000
# The facts of the trail that are about a person, by the end of their names before what distinguishes them.
_ABOUT_PEOPLE = ("-search-", "-export-")


@dataclass(frozen=True)
class Source:
    """A recording as it is now: its manifest, and the container where its files lie."""

    manifest: Manifest
    where: Container


@dataclass(frozen=True)
class Collector:
    """Reads, and writes nothing."""

    blobs: Blobs
    recordings: RecordingStore
    starts: StartClaims
    endings: Endings
    trail: Trail
    index: Index

    async def source(self, key: str) -> Source | None:
        """Find a recording in the archive, or else in flight; None if it is gone. Raises azure-core's errors."""
        written = await self.recordings.newest_manifest(key)
        if written is not None:
            return Source(await self.recordings.described(written), "archive")
        recording = await self.recordings.with_metadata_files(await self.recordings.load(key))
        if not recording.events:
            return None
        started = await self.starts.find(recording.recording_id)
        return Source(manifest.write_manifest(recording, archived_at=None, started=started), "staging")

    async def recording(self, asked: ExportAsked, key: str, found: Source | None, now: datetime) -> ExportedRecording:
        """Return what an export has of a recording; nothing but its key if it is gone. Raises azure-core's errors."""
        if found is None:
            return ExportedRecording(recording_key=key, taken_at=now)
        written = found.manifest
        entries = [entry for entry in written.chunks if entry.metadata]
        texts: list[tuple[MetadataText, object]] = []
        for some in batched(entries, _READS, strict=False):
            bodies = await asyncio.gather(*(self._metadata(found, entry) for entry in some))
            texts += [read_metadata(entry, body) for entry, body in zip(some, bodies, strict=True)]
        mask = None
        if asked.others == "masked":
            mask = Mask(asked.participant, others_in(written, *(said for _, said in texts)))
        return ExportedRecording(
            recording_key=key,
            taken_at=now,
            manifest=shown_manifest(written, mask),
            metadata=tuple(masked_metadata(file, said, mask) if mask else file for file, said in texts),
            trail=tuple([shown_entry(one, mask) for one in await self._trail_of(written)]),
            files=tuple(
                ExportedFile(
                    index=entry.index,
                    document_id=entry.document_id,
                    outcome=entry.outcome,
                    file_name=entry.file_name(key),
                    bytes=entry.content.bytes,
                    sha256=entry.content.sha256,
                    copied=f"files/{key}/{entry.file_name(key)}" if asked.files == "copies" else None,
                )
                for entry in written.chunks
                if entry.content
            ),
        )

    async def about(self, asked: ExportAsked) -> About:
        """Return the consents of a person, and who searched for them or exported; raises azure-core's errors."""
        mask = Mask(asked.participant, ()) if asked.others == "masked" else None
        digest = (await self.index.digests()).participant(asked.participant)
        consents = [one async for one in self._consents(asked.participant)]
        entries: list[TrailEntry] = []
        for day in await self.trail.days(None, None):
            listed = await self.trail.names(layout.trail_folder(day))
            wanted = [name for name in listed if any(part in name for part in _ABOUT_PEOPLE)]
            entries += [entry for _, entry in await self.trail.read(wanted) if digest_of(entry) == digest]
        return About(
            consents=tuple(shown_entry(one, mask) for one in sorted(consents, key=lambda one: one.at)),
            trail=tuple(shown_entry(one, mask) for one in entries if one.at <= asked.at),
        )

    async def _metadata(self, found: Source, entry: ManifestChunk) -> bytes | None:
        return await self.blobs.read(found.where, entry.metadata.blob) if entry.metadata else None

    async def _trail_of(self, written: Manifest) -> list[TrailEntry]:
        """Return what was done with a recording, the oldest first, by its key and by its id."""
        recording_id = written.recording_id or await self.endings.assigned(written.recording_key)
        places = [written.recording_key, *([layout.recording_digest(recording_id)] if recording_id else [])]
        found: list[TrailEntry] = []
        for place in places:
            after = ""
            while some := await self.index.trail(place, after=after, limit=_ENTRIES):
                found += [entry for _, entry in some]
                after = some[-1][0]
        return sorted(found, key=lambda one: one.at)

    async def _consents(self, participant: str) -> AsyncIterator[Consent]:
        """Read the facts of consent of a person, in all conversations."""
        wanted = normal_participant(participant)
        names = [blob.name async for blob in self.blobs.list_blobs("archive", layout.CONSENTS)]
        for some in batched(names, _READS, strict=False):
            for name, text in zip(
                some, await asyncio.gather(*(self.blobs.read("archive", one) for one in some)), strict=True
            ):
                try:
                    fact = Consent.model_validate_json(text or b"")
                except ValidationError:
                    log.error("consent.unreadable", blob=name, next="it counts for nothing; inspect it")
                    continue
                if normal_participant(fact.participant) == wanted:
                    yield fact
