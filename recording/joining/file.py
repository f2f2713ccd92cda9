"""Hand out the joined file of a recording, or say how far it is; each link is on record before it is handed out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from azure.core.exceptions import AzureError
from pydantic import Field

from recording.clock import Clock, utc_now
from recording.errors import ManifestUnreadable, NotFound, NotJoinable, StorageUnavailable, describe
from recording.join.parts import Joined, Part
from recording.join.plan import plan
from recording.join.refusals import Refused
from recording.join.sources import Recording
from recording.joining import fact
from recording.joining.fact import (
    JoinedChapter,
    JoinedChunk,
    JoinedFile,
    JoinedMissing,
    JoinedPart,
    Making,
    NotJoined,
    Reported,
)
from recording.joining.make import Maker, erase
from recording.joining.proof import JoinedVerification, Read, verify
from recording.model import layout
from recording.model.caller import Caller
from recording.model.job import JoinJob
from recording.model.manifest import Manifest
from recording.model.record import Body, Record
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue
from recording.storage.recordings import RecordingStore
from recording.storage.tombstones import Tombstones
from recording.storage.trail import Trail
from recording.telemetry import log

# Is told how many bytes of a joined file are there, and how many it is going to have.
type Tell = Callable[[int, int], None]

_LOOK_SECONDS = 1.0
_PREFETCH = 4
# How long a client waits before it asks again.
RETRY_AFTER_SECONDS = 5
# A file that nobody has made for so long is queued again: its job was given up, or its message got lost.
ASK_AGAIN = timedelta(minutes=10)
_FAILED = NotJoined(
    refusals=(
        Reported(
            reason="failed",
            chunk=None,
            message="making the file has failed five times; verify the recording, and ask again in ten minutes",
        ),
    )
)


class FileQuery(Record, populate_by_name=False):
    """Query of `GET …/file`: what the file is for, and why, which goes into the trail."""

    purpose: Literal["play", "download"] = "play"
    reason: str | None = Field(default=None, min_length=1, max_length=1000)


class FileChunk(Body):
    """A chunk in a joined file, and the second at which it begins."""

    index: int
    begins_at: float
    seconds: float


class FileLink(Body):
    """A link to one file: part `part` of `of`. `because` says why it doesn't continue the part before."""

    part: int
    of: int
    url: str
    expires_at: datetime
    file_name: str
    content_type: str
    bytes: int
    seconds: float | None = None
    chunks: tuple[FileChunk, ...]
    chapters: tuple[JoinedChapter, ...] = ()
    missing: tuple[JoinedMissing, ...] = ()
    because: str | None = None
    remarks: tuple[str, ...] = ()


class RecordingFile(Body):
    """The joined file of a recording, or how far it is.

    making: ask again after the seconds of `Retry-After`; `bytesDone` of `bytesTotal` are there.
    ready: `parts` has a link to each file, of which there are several only where chunks are coded differently.
    """

    recording_key: str
    recording_id: str | None = None
    server_call_id: str | None = None
    reference: str | None = None
    state: Literal["making", "ready"]
    bytes_done: int | None = None
    bytes_total: int | None = None
    correlation_id: str | None = None
    parts: tuple[FileLink, ...] | None = None


@dataclass(frozen=True)
class _State:
    """What there is of the joined file of a manifest: blobs by the last part of their names, and what was made."""

    manifest: Manifest
    folder: str
    there: dict[str, StoredBlob]
    parts: tuple[JoinedPart, ...] | None


class Joining:
    """The joined files of recordings: made on demand by a job, handed out, verified, and erased with the recording."""

    def __init__(
        self,
        blobs: Blobs,
        recordings: RecordingStore,
        tombstones: Tombstones,
        trail: Trail,
        queue: Queue,
        maker: Maker,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._blobs = blobs
        self._recordings = recordings
        self._tombstones = tombstones
        self._trail = trail
        self._queue = queue
        self._maker = maker
        self._clock = clock

    async def run(self, job: JoinJob) -> None:
        """Make a joined file, as `Maker.run` does."""
        await self._maker.run(job)

    async def file(self, caller: Caller, key: str, query: FileQuery) -> RecordingFile:
        """Return links to the joined file; if it isn't there yet, have it made and say how far it is.

        A recording with one chunk that can be played is that chunk. Raises BadRequest for a malformed key, NotFound for
        a recording that isn't archived, or while there is no place for derived files, NotJoinable,
        TrailUnavailable, and StorageUnavailable.
        """
        try:
            state = await self._state(key)
            if state.parts is not None:
                return await self._hand_out(caller, state.manifest, state.parts, query)
            if (failed := state.there.get("failed.json")) and self._is_recent(failed):
                raise not_joinable(_FAILED)
            await self._ask(key, state)
            done, total = await self._progress(state)
        except AzureError as failed:
            log.error("file.not_read", recordingKey=key, reason=describe(failed), next="the caller tries again")
            raise StorageUnavailable("storage can't be reached; recordings are not affected") from None
        return _answer(state.manifest, state="making", bytes_done=done, bytes_total=total)

    async def give_up(self, key: str) -> None:
        """Record that the queue gave up making the file, for who asks soon; raises azure-core's errors."""
        try:
            manifest = await self._recordings.newest_manifest(key) if self._blobs.keeps_derived else None
        except ManifestUnreadable:
            # Who asks for the file is told that.
            return
        if manifest:
            name = f"{fact.folder(await self._recordings.described(manifest))}/failed.json"
            text = _FAILED.model_dump_json(by_alias=True).encode()
            await self._blobs.replace("derived", name, text, over=await self._blobs.stat("derived", name))

    async def make(self, key: str, tell: Tell) -> tuple[JoinedPart, ...]:
        """Make the joined file here and now, unless it is there, and return its parts; raises as `file` does.

        `tell` is told how many bytes are there, and of how many. Also raises CopyFailed: it may be tried again.
        """
        while (state := await self._state(key)).parts is None:
            making = asyncio.create_task(self._maker.run(JoinJob(recording_key=key)))
            try:
                while not making.done():
                    tell(*await self._progress(state))
                    await asyncio.wait([making], timeout=_LOOK_SECONDS)
                    state = replace(state, there=await self._there(state.folder))
                await making
            finally:
                making.cancel()
        tell(*await self._progress(state))
        return state.parts

    async def download(
        self, caller: Caller, key: str, parts: tuple[JoinedPart, ...], *, reason: str | None = None
    ) -> list[tuple[JoinedPart, AsyncIterator[bytes]]]:
        """Put on record that files are downloaded, and return each with its bytes.

        Raises NotFound and TrailUnavailable.
        """
        manifest = await self._archived(key)
        found = [(part, await self._blob(part)) for part in parts]
        await self._note(caller, manifest, parts, FileQuery(purpose="download", reason=reason), None)
        return [(part, self._blobs.read_ranges(part.where, blob, prefetch=_PREFETCH)) for part, blob in found]

    async def erase(self, key: str) -> None:
        """Delete every joined file of a recording, and what is being made of it; it may be repeated.

        Whoever erases a recording calls it before its manifest is removed, and again after that: a file that was made
        in between goes with the second call, and what is made later removes itself. Raises azure-core's errors.
        """
        if self._blobs.keeps_derived:
            await erase(self._blobs, key)

    async def folders(self, key: str) -> list[str]:
        """Name the folder of all joined files of a recording, with its slash; none without a place for them."""
        return [layout.joined_prefix(key)] if self._blobs.keeps_derived else []

    async def verify(self, key: str, *, read: Read | None = None) -> JoinedVerification:
        """Read the joined file of a recording once, and prove that its bytes are those of the archive.

        A file that fails is deleted, so that nobody gets it and the next request makes a new one. Raises NotFound if
        there is none.
        """
        manifest = await self._archived(key)
        self._blobs.require_derived()
        folder = fact.folder(manifest)
        text = await self._blobs.read("derived", f"{folder}/file.json")
        if text is None:
            raise NotFound("there is no joined file of this recording now", target="recordingKey")
        found = await verify(self._blobs, manifest, JoinedFile.model_validate_json(text), read=read)
        if not found.ok:
            await erase(self._blobs, key)
        return found

    async def _state(self, key: str) -> _State:
        """Look what there is; raises as `file` does."""
        manifest = await self._archived(key)
        match _at_once(manifest):
            case Refused() as refused:
                raise not_joinable(NotJoined.of(refused))
            case Joined(parts):
                return _State(manifest, "", {}, (await self._chunk_itself(manifest, parts[0]),))
            case None:
                self._blobs.require_derived()
        folder = fact.folder(manifest)
        there = await self._there(folder)
        if "refused.json" in there and (text := await self._blobs.read("derived", f"{folder}/refused.json")):
            raise not_joinable(NotJoined.model_validate_json(text))
        made = await self._made(folder, there) if "file.json" in there else None
        return _State(manifest, folder, there, made.parts if made else None)

    async def _there(self, folder: str) -> dict[str, StoredBlob]:
        return {blob.name.rpartition("/")[2]: blob async for blob in self._blobs.list_blobs("derived", f"{folder}/")}

    async def _archived(self, key: str) -> Manifest:
        layout.check_key(key)
        found = await self._recordings.newest_manifest(key)
        erasure = layout.key_digest(key)
        if await self._tombstones.read(erasure):
            where = f"/v1/erasures/{erasure}"
            raise NotFound(f"this recording was erased: GET {where}", target="recordingKey", code="Erased")
        if found is None:
            raise NotFound("there is no archived recording of this key", target="recordingKey")
        return await self._recordings.described(found)

    async def _made(self, folder: str, there: dict[str, StoredBlob]) -> JoinedFile | None:
        """Return what was made, if all of it is still there: the lifecycle rule deletes blob by blob."""
        text = await self._blobs.read("derived", f"{folder}/file.json")
        if text is None:
            return None
        made = JoinedFile.model_validate_json(text)
        derived = [part for part in made.parts if part.where == "derived"]
        if all((blob := there.get(part.blob.rpartition("/")[2])) and blob.size == part.bytes for part in derived):
            return made
        # Whoever finds no fact makes a new one.
        await self._blobs.delete("derived", f"{folder}/file.json")
        return None

    async def _ask(self, key: str, state: _State) -> None:
        """Queue the job, unless it was queued a short time ago; of several who ask at a time one queues it."""
        name, asked = f"{state.folder}/asked.json", state.there.get("asked.json")
        if asked is None:
            is_mine = await self._blobs.create("derived", name, b"{}")
        elif self._is_recent(asked):
            return
        else:
            is_mine = await self._blobs.replace("derived", name, b"{}", over=asked)
        if not is_mine:
            return
        try:
            await self._queue.send(JoinJob(recording_key=key).to_message())
        except AzureError:
            # So that whoever asks next queues it.
            await self._blobs.delete("derived", name)
            raise

    def _is_recent(self, note: StoredBlob) -> bool:
        return note.written_at is not None and self._clock() - note.written_at < ASK_AGAIN

    async def _progress(self, state: _State) -> tuple[int, int]:
        """Return how many bytes are there, committed or staged, and of how many."""
        if state.parts is not None:
            return (total := sum(part.bytes for part in state.parts)), total
        done, total = 0, sum(entry.content.bytes for entry in state.manifest.chunks if entry.content)
        for name in state.there:
            is_plan = name.startswith("making-")
            text = await self._blobs.read("derived", f"{state.folder}/{name}") if is_plan else None
            if text is None:
                continue
            parts = Making.model_validate_json(text).parts
            done, total = 0, sum(part.bytes for part in parts)
            for part in parts:
                whole = state.there.get(part.blob.rpartition("/")[2])
                blocks = {} if whole else await self._blobs.staged_blocks(part.blob, where="derived")
                done += whole.size if whole else sum(blocks.values())
        return min(done, total), total

    async def _chunk_itself(self, manifest: Manifest, part: Part) -> JoinedPart:
        """Return the only chunk that can be played, as it lies in the archive."""
        place = part.chunks[0]
        content = manifest.chunks[place.chunk].content
        found = await self._blobs.stat("archive", content.blob) if content else None
        if content is None or found is None or found.size != content.bytes:
            raise NotFound(f"the content of chunk {place.index} is not there", target="recordingKey")
        chunk = JoinedChunk.of(place, content, found.etag)
        return JoinedPart.planned(part, [chunk], where="archive", blob=found.name, etag=found.etag, crc64=content.crc64)

    async def _hand_out(
        self, caller: Caller, manifest: Manifest, parts: tuple[JoinedPart, ...], query: FileQuery
    ) -> RecordingFile:
        """Make the links, put on record that they are handed out, and return them."""
        correlation_id = str(uuid4())
        links = tuple([await self._link(part, query, correlation_id) for part in parts])
        await self._note(caller, manifest, parts, query, correlation_id)
        return _answer(manifest, state="ready", correlation_id=correlation_id, parts=links)

    async def _note(
        self,
        caller: Caller,
        manifest: Manifest,
        parts: tuple[JoinedPart, ...],
        query: FileQuery,
        correlation_id: str | None,
    ) -> None:
        await self._trail.write(
            caller,
            action=query.purpose,
            recording=manifest.recording_key,
            recording_id=manifest.recording_id,
            indexes=[chunk.index for part in parts for chunk in part.chunks],
            reason=query.reason,
            correlation_id=correlation_id,
            details={"files": [part.file_name for part in parts]},
        )

    async def _blob(self, part: JoinedPart) -> StoredBlob:
        found = await self._blobs.stat(part.where, part.blob)
        if found is None or found.size != part.bytes:
            raise NotFound("a file of this recording is not there any more; ask again", target="recordingKey")
        return found

    async def _link(self, part: JoinedPart, query: FileQuery, correlation_id: str) -> FileLink:
        url, expires_at = await self._blobs.read_link(
            part.where,
            await self._blob(part),
            file_name=part.file_name,
            saves=query.purpose == "download",
            correlation_id=correlation_id,
        )
        return FileLink(
            part=part.part,
            of=part.of,
            url=url,
            expires_at=expires_at,
            file_name=part.file_name,
            content_type=part.content_type,
            bytes=part.bytes,
            seconds=part.seconds,
            chunks=tuple(FileChunk(index=c.index, begins_at=c.begins_at, seconds=c.seconds) for c in part.chunks),
            chapters=part.chapters,
            missing=part.missing,
            because=part.because,
            remarks=part.remarks,
        )


def _answer(manifest: Manifest, **more: Any) -> RecordingFile:
    """Return what is answered about a recording, with what names it beside its key."""
    return RecordingFile(
        recording_key=manifest.recording_key,
        recording_id=manifest.recording_id,
        server_call_id=manifest.server_call_id,
        reference=manifest.reference,
        **more,
    )


def not_joinable(refused: NotJoined) -> NotJoinable:
    """Return the refusal: the first reason in its message, all of them in its details."""
    details: list[dict[str, str | int]] = [
        {"code": one.reason, "message": one.message, **({} if one.chunk is None else {"chunk": one.chunk})}
        for one in refused.refusals
    ]
    first = refused.refusals[0].message
    message = f"the chunks of this recording can't be one file: {first}"
    return NotJoinable(message, target="recordingKey", details=details)


def _at_once(manifest: Manifest) -> Joined | Refused | None:
    """Return what is known without a look into the chunks; None if they have to be read."""
    try:
        next(plan(Recording.of(manifest)))
    except StopIteration as done:
        made: Joined | Refused = done.value
        return made
    return None
