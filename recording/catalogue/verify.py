"""Use case: read an archived recording again and compare it with its manifest."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from azure.core.exceptions import AzureError

from recording.clock import Clock, utc_now
from recording.errors import Conflict, ManifestUnreadable, NotFound, RecordingError, StorageUnavailable, describe
from recording.formats import media
from recording.formats.media import Kind
from recording.formats.verdict import Outcome
from recording.model import layout
from recording.model.caller import Caller
from recording.model.manifest import Manifest, ManifestChunk, ManifestFile
from recording.model.record import Record
from recording.model.trail import TrailEntry
from recording.storage.blobs import Blobs
from recording.storage.contents import read_contents
from recording.storage.recordings import RecordingStore
from recording.storage.trail import Trail
from recording.telemetry import log


class ChunkVerification(Record):
    """The result for one chunk; without problems it matches the manifest, which has the `verdict` on its bytes."""

    document_id: str
    index: int
    bytes: int
    problems: list[str]
    verdict: Outcome | None = None


class ChunkVerified(ChunkVerification):
    """The result for one chunk of a recording; `ok` = every file that the manifest lists for it is intact."""

    recording_key: str
    ok: bool
    verified_at: datetime


class RecordingVerification(Record):
    """The result for one recording; `ok` = every file that the manifest lists is intact.

    `problems` are those of the recording itself: its manifest is missing or can't be read.
    """

    recording_key: str
    ok: bool
    complete: bool
    problems: list[str]
    chunks: list[ChunkVerification]


class Verifier:
    """Reads archived recordings again; one HTTP request may take `request_timeout`."""

    def __init__(
        self,
        blobs: Blobs,
        recordings: RecordingStore,
        trail: Trail,
        *,
        clock: Clock = utc_now,
        request_timeout: float = 200.0,
    ) -> None:
        self._blobs = blobs
        self._recordings = recordings
        self._trail = trail
        self._clock = clock
        # The platform gives a request 230 s, whatever functionTimeout says (docs/functions-host.md#http).
        self._request_timeout = request_timeout

    async def verify(self, key: str) -> RecordingVerification:
        """Read every archived chunk again: SHA-256 and length as in the manifest, and the structure of its format.

        Raises BadRequest for a malformed recording key, NotFound if the recording isn't archived.
        """
        manifest = await self._require(key)
        if manifest is None:
            return _damaged(key, "its manifest cannot be read")
        results = [await self._verify_chunk(entry) for entry in manifest.chunks]
        ok = not any(result.problems for result in results)
        (log.info if ok else log.error)(
            "recording.verified",
            recordingKey=key,
            ok=ok,
            problems={result.document_id: result.problems for result in results if result.problems},
        )
        return RecordingVerification(recording_key=key, ok=ok, complete=manifest.complete, problems=[], chunks=results)

    async def verify_in_request(self, caller: Caller, key: str) -> RecordingVerification:
        """Verify a recording in the time of one HTTP request; it is on record with its result.

        Raises RecordingError (TooLarge) if it takes longer, and what `verify` raises.
        """
        # What isn't there is not on record.
        await self._require(key)
        entry = TrailEntry.of(caller, "verify", self._clock())
        entry.recording_key = key
        async with self._trail.record(entry):
            try:
                async with asyncio.timeout(self._request_timeout):
                    found = await self.verify(key)
            except TimeoutError:
                raise _too_large() from None
            entry.details = {"ok": found.ok, "complete": found.complete}
        return found

    async def verify_chunk(self, caller: Caller, key: str, index: str, *, reason: str | None = None) -> ChunkVerified:
        """Verify one chunk, so that whoever waits for a long recording sees how far it is; the result is on the trail.

        Raises BadRequest for a malformed key or index, NotFound if the archive has no file there, Conflict for a
        manifest that can't be read, StorageUnavailable, and RecordingError (TooLarge) if it takes longer than a
        request may.
        """
        layout.check_key(key)
        number = layout.read_index(index)
        entry = TrailEntry.of(caller, "verify", self._clock())
        entry.recording_key, entry.indexes, entry.reason = key, (number,), reason
        async with self._trail.record(entry):
            listed = await self._listed(key, number)
            try:
                async with asyncio.timeout(self._request_timeout):
                    found = await self._verify_chunk(listed)
            except AzureError as failed:
                log.error("recording.not_verified", recordingKey=key, index=number, reason=describe(failed))
                raise StorageUnavailable("the archive can't be reached; try again") from None
            except TimeoutError:
                raise _too_large() from None
            if found.problems:
                entry.outcome, entry.details = "NotIntact", {"problems": found.problems}
        result = ChunkVerified(**dict(found), recording_key=key, ok=not found.problems, verified_at=self._clock())
        (log.info if result.ok else log.error)(
            "recording.verified", recordingKey=key, ok=result.ok, problems={found.document_id: found.problems}
        )
        return result

    async def _listed(self, key: str, number: int) -> ManifestChunk:
        """Return the chunk at an index that has files; raises NotFound, or Conflict for a manifest that is damaged."""
        manifest = await self._require(key)
        if manifest is None:
            _damaged(key, "its manifest cannot be read")
            raise Conflict("the manifest of this recording cannot be read", target="recordingKey")
        for entry in manifest.listed_at(number):
            if entry.files or entry.metadata:
                return entry
        raise NotFound("the archive has no file of a chunk at this index", target="index")

    async def verify_all(self, keys: Iterable[str], *, concurrency: int = 2) -> AsyncIterator[RecordingVerification]:
        """Verify recordings, some at a time, as each is done; those that aren't archived yet are omitted."""
        limit = asyncio.Semaphore(concurrency)

        async def one(key: str) -> RecordingVerification | None:
            async with limit:
                return await self._verify_archived(key)

        for done in asyncio.as_completed([one(key) for key in keys]):
            if (result := await done) is not None:
                yield result

    async def _require(self, key: str) -> Manifest | None:
        """Return the newest manifest; None if it can't be read."""
        layout.check_key(key)
        try:
            manifest = await self._recordings.newest_manifest(key)
        except ManifestUnreadable:
            return None
        if manifest is None:
            raise NotFound("there is no archived recording of this key", target="recordingKey")
        return manifest

    async def _verify_archived(self, key: str) -> RecordingVerification | None:
        """Verify a recording that has a folder in the archive; None if it is still being archived."""
        try:
            return await self.verify(key)
        except NotFound:
            if [blob async for blob in self._blobs.list_blobs("staging", f"{key}/")]:
                return None
        try:
            return await self.verify(key)  # it may have been archived meanwhile
        except NotFound:
            return _damaged(key, "it has no manifest")

    async def _verify_chunk(self, entry: ManifestChunk) -> ChunkVerification:
        files = [*entry.files, *([entry.metadata] if entry.metadata else [])]
        # A file that isn't complete media is in the manifest as such: it is kept as it was delivered.
        is_known = entry.content is not None and entry.content.sha256 is not None and not entry.is_whole
        problems: list[str] = []
        for file in files:
            # A metadata file, another version, and content of an unknown kind have no structure to check.
            kind = media.kind_of(file.blob) if file is entry.content and not is_known else None
            problems += [f"{file.blob}: {problem}" async for problem in self._problems(file, kind)]
        size = sum(file.bytes for file in files)
        return ChunkVerification(
            document_id=entry.document_id, index=entry.index, bytes=size, problems=problems, verdict=entry.verdict
        )

    async def _problems(self, file: ManifestFile, kind: Kind | None) -> AsyncIterator[str]:
        found = await self._blobs.stat("archive", file.blob)
        if found is None:
            yield "missing"
            return
        if found.size != file.bytes:
            yield f"has {found.size} bytes, the manifest says {file.bytes}"
        read = await read_contents(self._blobs, "archive", found)
        if file.sha256 not in (None, read.sha256):
            yield f"has SHA-256 {read.sha256}, the manifest says {file.sha256}"
        if kind and (problem := read.verdict.problem):
            yield problem


def _too_large() -> RecordingError:
    return RecordingError("too large for one request: use python -m recording verify", code="TooLarge")


def _damaged(key: str, problem: str) -> RecordingVerification:
    log.error("recording.verified", recordingKey=key, ok=False, problems={"manifest": [problem]})
    return RecordingVerification(recording_key=key, ok=False, complete=False, problems=[problem], chunks=[])
