"""What there is of a recording: collected before anything is removed, since what is removed names the rest."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from recording.clock import Clock, utc_now
from recording.errors import ManifestUnreadable
from recording.model import index, layout, manifest
from recording.model.erasure import ErasureScope, Source
from recording.model.events import FileStatusUpdated
from recording.model.keeping import kept_until
from recording.model.manifest import Manifest
from recording.model.stored import Container
from recording.storage.blobs import Blobs
from recording.storage.endings import Endings
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore
from recording.storage.recordings import RecordingStore
from recording.storage.starts import StartClaims
from recording.telemetry import log
from recording.workers import run_each

_CHUNK = re.compile(r"chunks/[0-9]{5}-(?P<id>[^/.]+)\.")
_READS = 8
JOINED_FILES, EXPORT_FILES = "joined files", "files of exports"
QUARANTINED, DEAD_LETTERS = "quarantined events", "dead letters"


class Derived(Protocol):
    """What another part of the app makes of recordings, among the derived files."""

    async def erase(self, key: str) -> object:
        """Remove what there is of a recording; it may be repeated."""

    async def folders(self, key: str) -> list[str]:
        """Name the folders that have something of a recording, with their slashes."""


@dataclass(frozen=True)
class ScopeFinder:
    """Collects the ids, rows and copies of a recording, in flight, archived or both; ACS keeps it for `retention`."""

    blobs: Blobs
    recordings: RecordingStore
    starts: StartClaims
    endings: Endings
    index: Index
    keeping: KeepingStore
    retention: timedelta
    clock: Clock = utc_now
    derived: Sequence[Derived] = ()

    async def find(self, key: str, *, known: ErasureScope | None = None) -> ErasureScope:
        """Return what there is of a recording; raises azure-core's errors.

        `known` is what an earlier look has found: events are also found by its ids.
        """
        scope = await self.ids(key)
        texts = {*scope.texts, *(known.texts if known else ())}
        derived = [one for made in self.derived for one in await made.folders(key)]
        copies = [blob.name for one in derived async for blob in self.blobs.list_blobs("derived", one)]
        quarantined = await self._naming("quarantine", texts, besides=layout.replayed_blob(""))
        dead_letters = await self._naming("dead_letter", texts)
        found = Counter(scope.found) + Counter([kind_in_derived(name) for name in copies])
        found += Counter({QUARANTINED: len(quarantined), DEAD_LETTERS: len(dead_letters)})
        places = {"derived": tuple(derived), "quarantined": quarantined, "dead_letters": dead_letters}
        return scope.model_copy(update={**places, "found": dict(found)})

    async def _naming(self, where: Container, texts: Iterable[str], *, besides: str | None = None) -> tuple[str, ...]:
        """Return the names of the blobs with events, days of them and few, whose text has one of the ids."""
        wanted = [text.encode() for text in texts]
        found: list[str] = []

        async def read(name: str) -> None:
            text = await self.blobs.read(where, name) or b""
            if any(one in text for one in wanted):
                found.append(name)

        listed = await self.blobs.everything(where, "")
        names = [blob.name for blob in listed if blob.is_current and not blob.is_deleted]
        await run_each(read, [name for name in names if not (besides and name.startswith(besides))], at_once=_READS)
        return tuple(sorted(found))

    async def ids(self, key: str) -> ErasureScope:
        """Return what there is of a recording, without its copies and its events in other places."""
        names = [blob.name async for blob in self.blobs.list_blobs("archive", f"{layout.archive_folder(key)}/")]
        staged = [blob.name for blob in await self.recordings.staged(key)]
        events, exports = await self.recordings.all_events(key)
        manifests, are_all = await self._manifests(key, names)
        assigned = await self.endings.assigned(key)
        recording_ids = {assigned, *(one.recording_id for one in events), *(one.recording_id for one in manifests)}
        calls = {*(one.server_call_id for one in events), *(one.server_call_id for one in manifests)}
        documents = {found["id"] for name in (*names, *staged) if (found := _CHUNK.search(name))}
        documents |= {chunk.document_id for event in events for chunk in (*event.chunks, *event.exported)}
        documents |= {entry.document_id for one in manifests for entry in one.chunks}
        digests = await self.index.digests()
        rows = {(row.partition, row.key) for one in manifests for row in index.rows(one, digests)}
        rows |= {(partition, index.row_key(key)) for partition in (index.MISSING, index.TRUNCATED, index.HOLD)}
        # When its time ends: each class that it has had may have a row.
        archived, days = [one.archived_at for one in manifests if one.archived_at], await self.keeping.days(key)
        rows |= {(index.ENDS, index.ending(key, kept_until(at, each))) for at in archived for each in days}
        if not are_all:
            # Who took part, and in which conversation, is not known: a look at all rows finds them.
            rows |= set(await self.index.rows_of(key))
        return ErasureScope(
            recording_key=key,
            call_id=key[23:],
            recording_ids=tuple(sorted(one for one in recording_ids if one)),
            document_ids=tuple(sorted(documents)),
            server_call_ids=tuple(sorted(one for one in calls if one)),
            rows=tuple(sorted(rows)),
            sources=tuple(self._sources(events)),
            exports=tuple(sorted(exports)),
            found=dict(
                Counter([*map(kind_in_staging, staged), *map(kind_in_archive, names), *(["facts"] * len(exports))])
            ),
        )

    def _sources(self, events: Iterable[FileStatusUpdated]) -> list[Source]:
        """Return what ACS still has, each once, however many events announce it; it deletes by itself what is older."""
        now = self.clock()
        latest: dict[tuple[str, str | None], Source] = {}
        for event in sorted(events, key=lambda one: one.received):
            if now < (until := event.received + self.retention):
                for chunk in event.chunks:
                    document, location = chunk.source_id or chunk.document_id, chunk.delete_location
                    latest[document, location] = Source(document_id=document, location=location, until=until)
        return list(latest.values())

    async def _manifests(self, key: str, names: Iterable[str]) -> tuple[list[Manifest], bool]:
        """Return every revision, and the present state in flight: each may have rows of its own.

        `names` are those of the archive; also return whether all of them could be read.
        """
        found: list[Manifest] = []
        are_all = True
        for revision in sorted(parsed[1] for name in names if (parsed := layout.parse_manifest(name))):
            try:
                if written := await self.recordings.manifest(key, revision):
                    found.append(await self.recordings.described(written))
            except ManifestUnreadable:
                are_all = False
                log.error("recording.unreadable", recordingKey=key, next="it is erased by the names of its blobs")
        recording = await self.recordings.load(key)
        if recording.events:
            recording = await self.recordings.with_metadata_files(recording)
            started = await self.starts.find(recording.recording_id)
            found.append(manifest.write_manifest(recording, archived_at=None, started=started))
        with_start: list[Manifest] = []
        for one in found:
            if one.conversation_id is None and (started := await self.starts.find(one.recording_id)):
                with_start.append(one.with_start(started))
        return [*found, *with_start], are_all


def kind_in_staging(name: str) -> str:
    """Return the kind of a blob in staging, for people to read."""
    kinds = {"content": "chunks", "metadata": "metadata files", "event": "events"}
    return kinds.get(layout.staged_kind(name) or "", "working files")


def kind_in_derived(name: str) -> str:
    """Return the kind of a derived file, for people to read."""
    return JOINED_FILES if name.startswith(f"{layout.JOINED}/") else EXPORT_FILES


def kind_in_archive(name: str) -> str:
    """Return the kind of a blob in the archive, for people to read."""
    if layout.parse_manifest(name):
        return "manifests"
    folder, _, last = name.rpartition("/")
    if folder.endswith("/chunks"):
        return "metadata files" if last.endswith(".json") else "chunks"
    return "events" if folder.endswith("/events") else "facts"
