"""The copies of a recording's blobs, from staging into the archive, and the proof of each chunk's copy.

The service makes the copy of a chunk's content, and answers the CRC64 of each block. Then all bytes of the copy are
read: they must have the digest that was counted when they came from the source. What was found is a fact, and the
manifest waits for it.
"""

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC

from azure.core.exceptions import AzureError

from recording import crc64
from recording.acs.content import Content
from recording.clock import Clock, utc_now
from recording.errors import ChunkError, SourceGone
from recording.formats import media
from recording.model import layout
from recording.model.keeping import Protection
from recording.model.manifest import Manifest, ManifestFile
from recording.model.proof import ByteRange, ChunkFacts, CopyProof, damaged_metadata, has_bytes
from recording.model.recording import InFlightChunk, InFlightRecording
from recording.model.stored import Container, StoredBlob
from recording.model.verdict import ChunkVerdict
from recording.storage.blobs import Blobs, CopyDiffers, CopyFailed
from recording.storage.contents import Contents, read_contents
from recording.telemetry import log
from recording.workers import run_each

# Of one recording; half of those of a process.
AT_ONCE = 8
COPIES = 16
# Of a process: each pass holds 12 MiB, and one core hashes what four read.
PASSES = 4
# Blobs of a recording; up to here it costs less to begin each copy again than to list what is there.
_MANY = 64
# Of thousands of copies some fail in each run, and the rest is made nevertheless; if more fail, storage is not well.
_MOST_FAILURES = 32
# Neighbouring ranges of a file are copied as one block, up to this length, and longer ones are divided: the answer
# comes when all bytes are there (docs/azure-storage.md#copies-on-the-servers-side), and the client waits for a minute.
COPY_BLOCK = 256 * 1024 * 1024
_TRIES = 3
# Wrong copies that can't be replaced, and stay beside each other.
_MOST_NAMES = 32
# Bytes count as damaged when two reads have found others than were proved: a single one may itself be wrong.
_READS = 2


class Gone(CopyFailed):
    """A blob that was listed in staging is not there: another worker has archived its recording."""


@dataclass(frozen=True)
class Copied:
    """What was copied: the facts that prove it, new ones among them, and how many blobs are left.

    `names` has the copies without a proof that don't have their usual name, by the names of their sources.
    """

    proofs: tuple[StoredBlob, ...]
    left: int
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Work:
    """The copies of one recording: the names in the archive, what is there, and the chunk that each blob is of.

    `made` are the proofs of this job, `written` the ETags of its copies of content, `renamed` those with another name.
    """

    recording: InFlightRecording
    before: Manifest | None
    there: dict[str, StoredBlob]
    proofs: dict[str, CopyProof]
    chunks: dict[str, InFlightChunk]
    protection: Protection | None = None
    made: list[StoredBlob] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)

    def is_done(self, source: StoredBlob, name: str) -> bool:
        """Return whether an earlier run has made and proved a copy."""
        if source.digest and layout.staged_kind(source.name) == "content":
            proof = self.proofs.get(source.name)
            copy = self.there.get(proof.blob) if proof else None
            return proof is not None and copy is not None and (copy.etag, copy.size) == (proof.etag, proof.bytes)
        copy = self.there.get(name)
        # One beside it says that its bytes were found wrong.
        return copy is not None and is_copy(copy, source) and layout.another_copy(name, copy.etag) not in self.there


class Copies:
    """Makes and proves copies; the limits are those of a process."""

    def __init__(self, blobs: Blobs, content: Content, *, clock: Clock = utc_now) -> None:
        self._blobs = blobs
        self._content = content
        self._clock = clock
        self._copying = asyncio.Semaphore(COPIES)
        self._reading = asyncio.Semaphore(PASSES)

    async def bring(
        self,
        recording: InFlightRecording,
        before: Manifest | None,
        *,
        seconds: float,
        protection: Protection | None = None,
    ) -> Copied:
        """Copy chunks, metadata files and events, and prove each copy, for `seconds`.

        The write of each copy asks for its `protection` by the platform.

        Repeating it is harmless: what is there and proved isn't copied again, and what the manifest `before` lists with
        its SHA-256 is never written again, whatever has arrived in staging since. Raises CopyFailed, or azure-core's
        errors, the first one, after the other copies were made, or many have failed.
        """
        surplus = _surplus(recording, before)
        kinds = {chunk.content.name: chunk.kind for chunk in recording.chunks if chunk.content}
        named = {
            blob.name: layout.archived(blob.name, kinds.get(blob.name, ChunkFacts.from_metadata(blob.metadata).kind))
            for blob in recording.blobs
            if layout.staged_kind(blob.name) not in layout.TRANSIENT and blob.name not in surplus
        }
        proofs = {name: proof for chunk in recording.chunks for name, proof in chunk.proofs.items()}
        work = _Work(
            recording,
            before,
            # The copies of an earlier run: to make each of thousands again would take all of the next run's time.
            await self._copied(recording.key) if proofs or len(named) > _MANY else {},
            proofs,
            {b.name: c for c in recording.chunks for b in (c.content, *c.others, c.metadata) if b},
            protection,
        )
        missing = [blob for blob in recording.blobs if blob.name in named and not work.is_done(blob, named[blob.name])]
        left = len(missing)
        failures: list[Exception] = []
        end = time.monotonic() + seconds

        async def copy(blob: StoredBlob) -> None:
            nonlocal left
            if time.monotonic() >= end or len(failures) >= _MOST_FAILURES:
                return
            try:
                await self._bring(work, blob, named[blob.name])
            except (CopyFailed, AzureError) as failed:
                failures.append(failed)
                return
            left -= 1

        await run_each(copy, missing, at_once=AT_ONCE)
        if failures:
            raise failures[0]
        return Copied(tuple(work.made), left, work.renamed)

    async def _copied(self, key: str) -> dict[str, StoredBlob]:
        """List what earlier runs have copied."""
        return {blob.name: blob async for blob in self._blobs.list_blobs("archive", f"{layout.archive_folder(key)}/")}

    async def _bring(self, work: _Work, source: StoredBlob, name: str) -> None:
        kind = layout.staged_kind(source.name)
        if kind in ("event", "metadata"):
            async with self._copying:
                await self._copy_text(work, source, name)
        elif kind == "content" and source.digest:
            try:
                work.made.append(await self._copy_proved(work, source, name))
            except CopyDiffers:
                await self._check_source(work, source)
                raise
        else:
            # Not proved, or of a kind that a later version has added: there is no digest to compare.
            copy = await self._copy(work, source, name)
            found = await self._blobs.stat("archive", copy.name)
            there = await self._blobs.stat("staging", source.name)
            if found is None or there is None or (found.size, there.etag) != (source.size, source.etag):
                raise CopyFailed(f"{source.name} has changed, or its copy is incomplete; it will be retried")
            if copy.name != name:
                work.renamed[source.name] = copy.name

    async def _copy_proved(self, work: _Work, source: StoredBlob, name: str) -> StoredBlob:
        """Copy a chunk's content, and return the fact that proves the copy."""
        copy = await self._copy(work, source, name)
        tries = 0
        for _ in range(_MOST_NAMES):
            if fact := await self._prove(work.recording.key, source, copy):
                return fact
            tries += copy.etag in work.written
            if tries == _TRIES:
                break
            copy = await self._copy(work, source, copy.name, over=copy)
        raise CopyDiffers(f"the bytes of each copy of {source.name} differ; it will be retried")

    async def _prove(self, key: str, source: StoredBlob, copy: StoredBlob) -> StoredBlob | None:
        """Read a copy, and return the fact that it has the bytes of its source; None if it has others."""
        name = layout.parse(source.name)
        blob = layout.proof_blob(key, name.id if name else "", layout.copy_tag(copy.name, copy.etag))
        read, is_right = await self._read("archive", copy, source)
        if not is_right:
            log.warning("copy.differs", recordingKey=key, blob=copy.name, next="the chunk is copied again")
            # What another worker has read and found right must not be written over: the error was in the reading.
            return await self._blobs.stat("staging", blob)
        now = self._clock().astimezone(UTC)
        proof = CopyProof(
            content=source.name,
            blob=copy.name,
            etag=copy.etag,
            bytes=read.size,
            crc64=read.crc64,
            sha256=read.sha256,
            kind=read.verdict.kind,
            seconds=None if read.verdict.seconds is None else round(read.verdict.seconds, 3),
            verdict=ChunkVerdict.of(read.verdict, now),
            proved_at=now,
        )
        body, metadata = proof.model_dump_json(by_alias=True).encode(), proof.to_metadata()
        await self._blobs.create("staging", blob, body, **metadata)
        return StoredBlob(blob, len(body), "", metadata)

    async def _read(self, where: Container, found: StoredBlob, source: StoredBlob) -> tuple[Contents, bool]:
        """Read all bytes of a blob; return also whether they are those that were proved of `source`."""
        async with self._reading:
            for _ in range(_READS):
                read = await read_contents(self._blobs, where, found)
                if has_bytes(source, size=read.size, crc64=read.crc64, sha256=read.sha256):
                    return read, True
        return read, False

    async def _copy(self, work: _Work, source: StoredBlob, name: str, *, over: StoredBlob | None = None) -> StoredBlob:
        """Return the copy of a blob that is in the archive now, whoever has made it; `over` is replaced.

        A wrong copy that can't be replaced stays, and the right one gets a name of its own.
        """
        ranges = copy_ranges(source)
        kind = media.kind_of(name)
        changes = 0
        while changes < _TRIES:
            if over:
                # Facts that are no longer those of staging must not replace what was made from newer ones.
                there = await self._blobs.stat("staging", source.name)
                if there is None or there.etag != source.etag:
                    raise Gone(f"{source.name} has changed while it was copied; it will be retried")
            async with self._copying:
                made = await self._blobs.copy_to_archive(
                    source,
                    name,
                    ranges,
                    content_type=media.content_type(kind),
                    over=over,
                    protection=work.protection,
                )
            if made:
                work.written.add(made.etag)
                return made
            found = await self._blobs.stat("archive", name)
            if found and found.copy_status == "pending":
                raise CopyFailed(f"an older version still copies {source.name}; it will be retried")
            if over and found and found.etag == over.etag:
                name, over = layout.another_copy(name, found.etag), None
            elif found and is_copy(found, source):
                return found
            else:
                # The first look at a copy that is there already isn't a change.
                changes += over is not None or found is None
                over = found
        raise CopyFailed(f"the copy of {source.name} was changed by others each time; it will be retried")

    async def _copy_text(self, work: _Work, source: StoredBlob, name: str) -> None:
        """Copy an event or a metadata file; a different event of the same id in the archive is evidence, and stays."""
        data = work.recording.texts.get(source.name) or await self._blobs.read_fact("staging", source)
        if data is None:
            raise Gone(f"{source.name} is not there any more; it will be retried")
        if source.sha256 not in (None, hashlib.sha256(data).hexdigest()):
            await self._refetch(work, source)
            raise CopyDiffers(f"{source.name} has other bytes than were written; it will be retried")
        metadata = {name: value for name, value in source.metadata.items() if name != "sha256"}
        copy = name
        for _ in range(_MOST_NAMES):
            if await self._blobs.create("archive", copy, data, work.protection, **metadata):
                break
            found = await self._blobs.stat("archive", copy)
            if found and await self._blobs.read_fact("archive", found) == data:
                break
            if work.before and layout.staged_kind(source.name) == "event":
                other = layout.event_id(None, data.decode(errors="replace"))
                beside = f"{name.rpartition('/')[0]}/{other}.json"
                await self._blobs.create("archive", beside, data, work.protection, **metadata)
                break
            if await self._blobs.replace("archive", copy, data, over=found, **source.metadata):
                break
            there = await self._blobs.stat("archive", copy)
            if found is None or there is None or there.etag != found.etag:
                raise CopyFailed(f"the copy of {source.name} was changed by another; it will be retried")
            # A policy of the container refuses it: the wrong one stays.
            copy = layout.another_copy(copy, found.etag)
        else:
            raise CopyFailed(f"no copy of {source.name} is right, and none can be replaced; it will be retried")
        if copy != name:
            work.renamed[source.name] = copy

    async def _check_source(self, work: _Work, source: StoredBlob) -> None:
        """Read what staging has, if no copy of it is right: bytes that were damaged there are fetched again."""
        _, is_right = await self._read("staging", source, source)
        if not is_right:
            await self._refetch(work, source)

    async def _refetch(self, work: _Work, damaged: StoredBlob) -> None:
        """Delete a blob whose bytes are not those that were proved, so that it is fetched again while ACS has it.

        If ACS has none, they are all that is left: without their digests they are archived as they are, not proved.
        """
        chunk = work.chunks.get(damaged.name)
        is_there = chunk is not None and self._clock() < chunk.expires_at and await self._is_at_source(chunk, damaged)
        log.error(
            "chunk.damaged",
            recordingKey=work.recording.key,
            blob=damaged.name,
            next="it is deleted from staging, and fetched again" if is_there else "it is archived as it is, not proved",
        )
        if is_there:
            await self._blobs.delete("staging", damaged.name, etag=damaged.etag)
            return
        # The recording must not wait for bytes that nobody has.
        metadata = damaged_metadata(damaged.metadata, self._clock())
        await self._blobs.set_metadata(damaged.name, metadata, etag=damaged.etag)

    async def _is_at_source(self, chunk: InFlightChunk, damaged: StoredBlob) -> bool:
        """Ask ACS, before the only bytes are deleted, whether it has the file: False if it says that it has none.

        Raises CopyFailed if it says neither.
        """
        unclear = ""
        for job in chunk.jobs:
            try:
                if layout.staged_kind(damaged.name) == "metadata":
                    await self._content.metadata(job)
                    return True
                probe = await self._content.probe(job)
                if probe.size >= damaged.size and not media.is_text(probe.head):
                    return True
                unclear = probe.described
            except SourceGone:
                continue
            except ChunkError as failed:
                unclear = failed.message
        if unclear:
            raise CopyFailed(f"{damaged.name} is damaged, and it isn't known whether ACS has it: {unclear}")
        return False


def is_copy(copy: StoredBlob, source: StoredBlob) -> bool:
    """Return whether a blob is a complete copy of another, by what its metadata says of its bytes."""
    is_complete = copy.copy_status in (None, "success")
    return is_complete and (copy.size, copy.sha256, copy.crc64) == (source.size, source.sha256, source.crc64)


def copy_ranges(source: StoredBlob) -> tuple[ByteRange, ...]:
    """Divide a blob into the blocks of its copy: ranges with a known CRC64, joined where they are short.

    The parts of a range that is divided have none: the reader of the copy compares all of it.
    """
    found: list[ByteRange] = []
    known = ChunkFacts.from_metadata(source.metadata).ranges(source.size)
    for one in known or _split(ByteRange(0, source.size), COPY_BLOCK):
        last = found[-1] if found else None
        if one.length > COPY_BLOCK:
            found += _split(one, COPY_BLOCK)
        elif last and None not in (last.crc64, one.crc64) and last.length + one.length <= COPY_BLOCK:
            joined = crc64.join((part.crc64 or 0, part.length) for part in (last, one))
            found[-1] = ByteRange(last.offset, last.length + one.length, joined)
        else:
            found.append(one)
    return tuple(found)


def _split(whole: ByteRange, length: int) -> list[ByteRange]:
    end = whole.offset + whole.length
    return [ByteRange(start, min(length, end - start)) for start in range(whole.offset, end, length)]


def _surplus(recording: InFlightRecording, before: Manifest | None) -> set[str]:
    """List what is not copied: what the archive has for good, and the same bytes under another index."""
    archived: dict[tuple[str, str], list[ManifestFile]] = defaultdict(list)
    for entry in before.chunks if before else ():
        archived[entry.document_id, "content"] += [file for file in entry.files if file.sha256]
        archived[entry.document_id, "metadata"] += [file for file in (entry.metadata,) if file and file.sha256]
    chosen = {blob.name for c in recording.chunks for blob in (c.content, c.metadata) if blob and blob.digest}
    staged = [(blob, parsed) for blob in recording.blobs if (parsed := layout.parse(blob.name))]
    in_staging = {(parsed.id, parsed.kind): blob for blob, parsed in staged if blob.name in chosen}
    found = set()
    for blob, parsed in staged:
        document = (parsed.id, parsed.kind)
        if there := archived.get(document):
            named = any(_stem(f.blob, parsed.kind) == _stem(blob.name, parsed.kind) for f in there)
            is_surplus = named or _adds_nothing(blob, there)
        else:
            here = in_staging.get(document, blob)
            is_surplus = here.name != blob.name and _adds_nothing(blob, [here])
        if is_surplus:
            found.add(blob.name)
    return found


def _adds_nothing(blob: StoredBlob, kept: Iterable[StoredBlob | ManifestFile]) -> bool:
    """Return whether others have the bytes of a blob, or it isn't proved."""
    if blob.sha256:
        return any(one.sha256 == blob.sha256 for one in kept)
    return any(blob.crc64 in (None, one.crc64) for one in kept)


def _stem(blob: str, kind: str) -> str:
    name = blob.rpartition("/")[2]
    # Each version of a chunk's content is a file of its own. There is one metadata file, whatever its copy is called.
    return name.partition(".")[0] if kind == "metadata" else name.rpartition(".")[0]
