"""The facts of recordings: what staging lists, what the archive's manifests say."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from azure.core.exceptions import AzureError
from pydantic import ValidationError

from recording.errors import BadEvent, ManifestUnreadable, describe
from recording.model import event_parser, layout, manifest, payload
from recording.model.attempts import Attempts
from recording.model.events import FileStatusUpdated
from recording.model.job import MOST_DIRECT, ChunkJob
from recording.model.keeping import Protection
from recording.model.manifest import Manifest
from recording.model.metadata_file import MetadataFile
from recording.model.recording import InFlightRecording, assemble
from recording.model.stored import Container, StoredBlob
from recording.storage.blobs import Blobs
from recording.telemetry import log
from recording.workers import compute, run_each

# For the archive, where staging suffices: one that is down must not cost a chunk its try.
ARCHIVE_SECONDS = 10.0
_ATTEMPTS_TRIES = 10
# Recordings whose manifest isn't read again.
_REMEMBERED = 16
_REQUESTS = 16
# The usual event is kept in memory until it is copied; the timer may have thousands of them.
_KEPT_TEXT = 8 * 1024
# From here on an event is parsed in a thread, and not again for each batch of its chunks: it takes a second per MB.
LARGE_TEXT = 64 * 1024
# Large events that are remembered: one has 12 MB in memory per MB of text.
_MOST_EVENTS = 4
# Blobs and chunks of a recording from which on it is derived in a thread.
_MANY = 1000


@dataclass(frozen=True)
class KeptEvent:
    """The fact that an event was received; `is_new` is false for a duplicate.

    `is_first` is false, too, for the same event in another form: there was one of its id before. `announced_at` is when
    the event announced its chunks, as far as its time is plausible.
    """

    blob: str
    is_new: bool
    is_first: bool
    announced_at: datetime


class RecordingStore:
    """The recordings in staging and in the archive."""

    def __init__(self, blobs: Blobs, *, retention: timedelta, archive_timeout: float = ARCHIVE_SECONDS) -> None:
        self._blobs = blobs
        self._retention = retention
        self._archive_timeout = archive_timeout
        # The revision of the newest manifest that was read, and what it has; by recording key.
        self._archived: dict[str, tuple[int, frozenset[str]]] = {}
        # Large events by the name and the ETag of their blobs.
        self._events: dict[tuple[str, str], FileStatusUpdated] = {}

    async def keep_event(self, event: FileStatusUpdated, text: str, *, received_at: datetime) -> KeptEvent:
        """Keep an event of chunks that are to be fetched, as it was received, and when that was."""
        return await self._keep("staging", layout.event_blob, event, text, received_at=received_at)

    async def keep_export(self, event: FileStatusUpdated, text: str, *, received_at: datetime) -> KeptEvent:
        """Keep an event of chunks that are in the team's own storage, as it was received."""
        return await self._keep("archive", layout.export_blob, event, text, received_at=received_at)

    async def in_flight(self, *, beside: dict[str, list[StoredBlob]] | None = None) -> dict[str, list[StoredBlob]]:
        """List staging once, by recording; memory grows with what is in flight, not with the archive.

        What is beside the recordings, by folder, is put into `beside`.
        """
        found: dict[str, list[StoredBlob]] = defaultdict(list)
        async for blob in self._blobs.list_blobs("staging"):
            found[blob.name.partition("/")[0]].append(blob)
        # Watched over by `archive.unannounced`, and by whoever has something to do there.
        for folder in (layout.PENDING, layout.DOCTOR, *layout.TO_DO):
            known = found.pop(folder, None)
            if known and beside is not None:
                beside[folder] = known
        for key in [key for key in found if not layout.is_recording_key(key)]:
            log.warning("staging.unknown", folder=key, blobs=len(found.pop(key)))
        return found

    async def staged(self, key: str) -> list[StoredBlob]:
        """List what staging has of a recording."""
        return [blob async for blob in self._blobs.list_blobs("staging", f"{key}/")]

    async def load(self, key: str, blobs: list[StoredBlob] | None = None) -> InFlightRecording:
        """Derive a recording in flight from its facts in staging."""
        if blobs is None:
            blobs = await self.staged(key)
        received: list[FileStatusUpdated] = []
        texts: dict[str, bytes] = {}
        attempts: list[tuple[str, StoredBlob]] = []
        for blob in blobs:
            staged = layout.parse(blob.name)
            if staged is not None and staged.kind == "event":
                event, text = await self._read_event("staging", blob)
                received += [event] if event else []
                if text and len(text) <= _KEPT_TEXT:
                    texts[blob.name] = text
            elif staged is not None and staged.kind == "attempts":
                attempts.append((staged.id, blob))
        tried = await self._attempts(attempts, whole=len(attempts) <= MOST_DIRECT)
        return replace(await self._assemble(key, received, blobs, tried), texts=texts)

    async def with_blobs(self, recording: InFlightRecording, more: Iterable[StoredBlob]) -> InFlightRecording:
        """Derive a recording again, with more blobs in staging."""
        blobs = {blob.name: blob for blob in (*recording.blobs, *more)}.values()
        tried = {c.document_id: c.attempts for c in recording.chunks if c.attempts}
        return await self._assemble(recording.key, recording.events, blobs, tried)

    async def _assemble(
        self,
        key: str,
        events: Sequence[FileStatusUpdated],
        blobs: Collection[StoredBlob],
        attempts: dict[str, Attempts],
    ) -> InFlightRecording:
        def work() -> InFlightRecording:
            return assemble(key, events=events, blobs=blobs, attempts=attempts, retention=self._retention)

        return await compute(work, is_long=len(blobs) + sum(len(event.chunks) for event in events) > _MANY)

    async def _read_event(self, where: Container, blob: StoredBlob) -> tuple[FileStatusUpdated | None, bytes | None]:
        """Read an event, and its text; a large one that was read before is not read again, and has none."""
        known = (blob.name, blob.etag)
        if event := self._events.get(known):
            return event, None
        text = await self._blobs.read_fact(where, blob) or b""
        is_large = len(text) > LARGE_TEXT
        event = await compute(lambda: _event(text, blob), is_long=is_large)
        if event and is_large:
            self._events[known] = event
            if len(self._events) > _MOST_EVENTS:
                del self._events[next(iter(self._events))]
        return event, text

    async def with_all_failures(self, recording: InFlightRecording) -> InFlightRecording:
        """Return a recording with every failure of its chunks; of one with many `load` reads the last ones only."""
        unread = [
            (chunk.document_id, blob)
            for chunk in recording.chunks
            if chunk.attempts and chunk.attempts.is_summary
            if (blob := recording.named(chunk.job.attempts_blob))
        ]
        read = await self._attempts(unread, whole=True)
        return replace(
            recording, chunks=tuple(replace(c, attempts=read.get(c.document_id, c.attempts)) for c in recording.chunks)
        )

    async def _attempts(self, blobs: Iterable[tuple[str, StoredBlob]], *, whole: bool) -> dict[str, Attempts]:
        """Read attempts records by document id; if not the `whole` records, their summaries, which the list has."""
        found: dict[str, Attempts] = {}

        async def read(one: tuple[str, StoredBlob]) -> None:
            document_id, blob = one
            record = Attempts.parse(await self._blobs.read("staging", blob.name))
            if record:
                found[document_id] = record

        unread: list[tuple[str, StoredBlob]] = []
        for document_id, blob in blobs:
            summary = None if whole else Attempts.from_metadata(blob.metadata)
            if summary:
                found[document_id] = summary
            else:
                unread.append((document_id, blob))
        await run_each(read, unread, at_once=_REQUESTS)
        return found

    async def with_metadata_files(self, recording: InFlightRecording) -> InFlightRecording:
        """Return a recording with all that its metadata files say; `load` knows only what is noted on their blobs.

        Raises azure-core's errors.
        """
        blobs = {c.document_id: c.metadata for c in recording.chunks if c.metadata and c.said is None}
        read = await self._read_metadata_files("staging", blobs)
        return replace(
            recording, chunks=tuple(replace(c, read=read.get(c.document_id, c.read)) for c in recording.chunks)
        )

    async def described(self, written: Manifest) -> Manifest:
        """Return an archived manifest with participants and timeline, for which one of an older version has no member.

        Raises azure-core's errors.
        """
        if written.timeline or not written.chunks:
            return written
        files = {entry.document_id: entry.metadata for entry in written.chunks if entry.metadata}
        blobs = {
            one: StoredBlob(file.blob, file.bytes, "", {"sha256": file.sha256} if file.sha256 else {})
            for one, file in files.items()
        }
        return manifest.with_metadata_files(written, await self._read_metadata_files("archive", blobs))

    async def _read_metadata_files(self, where: Container, blobs: dict[str, StoredBlob]) -> dict[str, MetadataFile]:
        """Read metadata files by document id."""
        found: dict[str, MetadataFile] = {}

        async def read(one: tuple[str, StoredBlob]) -> None:
            document_id, blob = one
            found[document_id] = payload.parse_metadata_file(await self._blobs.read_fact(where, blob) or b"")

        await run_each(read, blobs.items(), at_once=_REQUESTS)
        return found

    async def load_with_archived_events(
        self, key: str, blobs: list[StoredBlob], before: Manifest | None
    ) -> InFlightRecording:
        """Derive a recording; the event of a chunk that no event in staging announces may be in the archive.

        So it is when an ingest ends after the recording was archived without its chunk.
        """
        recording = await self.load(key, blobs)
        announced = {blob.name for c in recording.chunks for blob in (c.content, *c.others, c.metadata) if blob}
        if before is None or (
            recording.events
            and all(b.name in announced for b in blobs if layout.staged_kind(b.name) in ("content", "metadata"))
        ):
            return recording
        received = list(recording.events)
        async with asyncio.timeout(self._archive_timeout):
            async for blob in self._blobs.list_blobs("archive", f"{layout.archive_folder(key)}/events/"):
                event, _ = await self._read_event("archive", blob)
                received += [event] if event else []
        tried = {c.document_id: c.attempts for c in recording.chunks if c.attempts}
        return await self._assemble(key, received, blobs, tried)

    async def newest_manifest(self, key: str) -> Manifest | None:
        """Read the manifest of an archived recording; the highest revision lists everything."""
        newest: Manifest | None = None
        revision = 1
        while following := await self.manifest(key, revision):
            newest = following
            revision += 1
        return newest

    async def newest_manifest_in_time(self, key: str) -> Manifest | None:
        """Read the newest manifest where staging would do: raises TimeoutError if the archive is silent."""
        async with asyncio.timeout(self._archive_timeout):
            return await self.newest_manifest(key)

    async def manifest(self, key: str, revision: int) -> Manifest | None:
        """Read one revision of a manifest; raises ManifestUnreadable, as all do that read one."""
        name = layout.manifest_blob(key, revision)
        text = await self._blobs.read("archive", name)
        try:
            return Manifest.model_validate_json(text) if text else None
        except ValidationError:
            raise ManifestUnreadable(
                f"the manifest {name} can't be read: restore its blob, whose SHA-256 is in its metadata",
                target="recordingKey",
            ) from None

    async def manifests_of(self, day: str) -> dict[str, int]:
        """List the archived recordings of a day, with the newest revision of each manifest, by the day's list alone."""
        found: dict[str, int] = {}
        async for blob in self._blobs.list_blobs("archive", f"{day}/"):
            if one := layout.parse_manifest(blob.name):
                key, revision = one
                found[key] = max(found.get(key, 0), revision)
        return found

    async def manifests(
        self, since: datetime | None, until: datetime | None, *, after: str | None = None
    ) -> AsyncIterator[tuple[str, int]]:
        """Walk the archived recordings that started in [since, until), oldest first, from the one `after` a key on.

        With each comes the newest revision of its manifest.
        """
        first = max(layout.recording_key(since, "") if since else "", after or "")
        last = layout.recording_key(until, "") if until else "~"
        async for day in self.archived_days(newest_first=False):
            if day >= layout.day(first) if first else True:
                for key, revision in sorted((await self.manifests_of(day)).items()):
                    if first <= key < last and key != after:
                        yield key, revision

    async def first_manifest(self, key: str) -> Manifest | None:
        """Read the first revision of the manifest of an archived recording."""
        return await self.manifest(key, 1)

    async def write_manifest(self, written: Manifest, protection: Protection | None = None) -> bool:
        """Write a revision of a manifest; False if another run was quicker and wrote something else."""
        text = written.model_dump_json(by_alias=True, indent=2).encode()
        name = layout.manifest_blob(written.recording_key, written.revision)
        if await self._blobs.create("archive", name, text, protection):
            return True
        return await self._blobs.read("archive", name) == text

    async def is_archived(self, job: ChunkJob) -> bool:
        """Return whether a chunk's content is in the archive."""
        return job.document_id in await self.archived_documents(job.recording_key)

    async def archived_documents(self, key: str) -> frozenset[str]:
        """List the chunks of a recording whose content is in the archive: a duplicate of an event may come after that.

        Only the manifest shows this: a blob's extension depends on the kind of file that was detected. None, if the
        archive can't be read: at worst a chunk is fetched once more, and the timer, which reads the manifest, deletes
        it.
        """
        try:
            async with asyncio.timeout(self._archive_timeout):
                revision, documents = self._archived.get(key, (0, frozenset[str]()))
                # A manifest is never changed, and that of thousands of chunks is not read again for each of them.
                while written := await self.manifest(key, revision + 1):
                    revision += 1
                    documents = frozenset(e.document_id for e in written.chunks if e.content is not None)
                    self._archived[key] = (revision, documents)
                    if len(self._archived) > _REMEMBERED:
                        del self._archived[next(iter(self._archived))]
                return documents
        except (AzureError, TimeoutError, ManifestUnreadable) as failed:
            log.warning("archive.not_read", recordingKey=key, reason=describe(failed))
            return frozenset()

    async def update_attempts(self, job: ChunkJob, change: Callable[[Attempts | None], Attempts]) -> Attempts:
        """Change a chunk's attempts record; what another attempt records at the same moment isn't lost.

        Raises azure-core's errors.
        """
        for _ in range(_ATTEMPTS_TRIES):
            found = await self._blobs.stat("staging", job.attempts_blob)
            changed = change(Attempts.parse(await self._blobs.read("staging", job.attempts_blob)) if found else None)
            text = changed.model_dump_json(by_alias=True).encode()
            if await self._blobs.replace("staging", job.attempts_blob, text, over=found, **changed.to_metadata()):
                return changed
        raise AzureError("the attempts record was changed by others each time")

    async def all_events(self, key: str) -> tuple[list[FileStatusUpdated], list[str]]:
        """Read every event of a recording, in flight and archived, and of files in the team's own storage.

        Also return the names of the facts of the latter. Raises azure-core's errors.
        """
        found: list[FileStatusUpdated] = []
        exports: list[str] = []
        places: tuple[tuple[Container, str], ...] = (
            ("staging", f"{key}/events/"),
            ("archive", f"{layout.archive_folder(key)}/events/"),
            ("archive", layout.export_blob(key, "").removesuffix(".json")),
        )
        for where, prefix in places:
            async for blob in self._blobs.list_blobs(where, prefix):
                event, _ = await self._read_event(where, blob)
                # Another recording's key may begin like this one.
                if event and event.recording_key == key:
                    found.append(event)
                    exports += [blob.name] if prefix is places[2][1] else []
        return found, exports

    async def empty_staging(self, recording: InFlightRecording) -> None:
        """Empty the staging prefix, events last: as long as a chunk's blob is left, an event describes it.

        Verdicts come after the content too: without its verdict it would count as complete. That the notice was
        published stays until nothing is left to publish.
        """

        def turn(blob: StoredBlob) -> int:
            kind = layout.staged_kind(blob.name)
            return 2 if kind == "published" else int(kind in ("verdict", "proof", "event"))

        for _, group in groupby(sorted(recording.blobs, key=turn), key=turn):
            await self._blobs.delete_each("staging", group)

    async def archived_keys(self, since: datetime | None = None, until: datetime | None = None) -> AsyncIterator[str]:
        """Walk the recordings of [since, until) that have a folder in the archive, oldest first.

        Unlike a list of manifests it leaves none out.
        """
        begin, end = (
            time.replace(tzinfo=time.tzinfo or UTC) for time in (since or datetime.min, until or datetime.max)
        )
        async for day in self.archived_days(newest_first=False):
            for key in await self.archived_keys_of(day):
                if begin <= layout.recording_start(key) < end:
                    yield key

    async def archived_days(self, *, newest_first: bool = True) -> AsyncIterator[str]:
        """Walk the days that have a folder in the archive: `2021/07/27`."""
        years = [year for year in await self._blobs.folders("archive") if year.isdecimal()]
        for year in sorted(years, reverse=newest_first):
            for month in sorted(await self._blobs.folders("archive", f"{year}/"), reverse=newest_first):
                for day in sorted(await self._blobs.folders("archive", f"{year}/{month}/"), reverse=newest_first):
                    yield f"{year}/{month}/{day}"

    async def archived_keys_of(self, day: str) -> list[str]:
        """List the recordings of a day that have a folder in the archive."""
        return [key for key in await self._blobs.folders("archive", f"{day}/") if layout.is_recording_key(key)]

    async def _keep(
        self,
        where: Container,
        name: Callable[[str, str], str],
        event: FileStatusUpdated,
        text: str,
        *,
        received_at: datetime,
    ) -> KeptEvent:
        # The times are in the blob's metadata, so that the timer can order recordings by listing alone.
        announced_at = replace(event, received_at=received_at).announced_at(self._retention)
        times = {"announced": announced_at, "received": received_at}
        metadata = {name: time.astimezone(UTC).isoformat() for name, time in times.items()}
        blob, body = name(event.recording_key, event.id), text.encode()
        is_new = is_first = await self._blobs.create(where, blob, body, **metadata)
        if not is_new and await self._blobs.read(where, blob) != body:
            # Another event under the same id: what it announces must be on record too.
            blob = name(event.recording_key, layout.event_id(None, text))
            is_new = await self._blobs.create(where, blob, body, **metadata)
        return KeptEvent(blob, is_new, is_first, announced_at)


def _event(text: bytes, blob: StoredBlob) -> FileStatusUpdated | None:
    try:
        event = event_parser.parse_event(text.decode()) if text else None
    except (BadEvent, UnicodeDecodeError) as bad:
        log.error("staging.bad_event", blob=blob.name, reason=str(bad))
        return None
    return replace(event, received_at=_received_at(blob)) if isinstance(event, FileStatusUpdated) else None


def _received_at(blob: StoredBlob) -> datetime | None:
    """Return when an event was received; one that an older version kept, when it was written."""
    try:
        return datetime.fromisoformat(blob.metadata["received"])
    except (KeyError, ValueError):
        return blob.written_at
