"""Use case: hand out what there is of a recording, each time on record before it happens.

What is found is checked first, then its fact is written, then it is handed out: a fact that can't be written
(TrailUnavailable) is a refusal, and what can't be handed out leaves no fact.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import Field

from recording.catalogue.browse import Catalogue, ListQuery, RecordingDetail, RecordingList
from recording.errors import NotFound
from recording.model import layout
from recording.model.caller import Caller
from recording.model.manifest import Manifest, ManifestChunk, ManifestFile
from recording.model.record import Body
from recording.model.stored import Container, StoredBlob
from recording.storage.blobs import Blobs
from recording.storage.trail import Trail
from recording.telemetry import log
from recording.workers import run_each

MOST_LINKS = 100
_LOOKS = 16
type Purpose = Literal["play", "download"]
_AVAILABLE = ("staged", "archived", "unproved")


class LinkRequest(Body):
    """Which chunks of a recording, by index, what for, and why: `reason` goes into the trail."""

    indexes: list[Annotated[int, Field(ge=0, le=layout.LARGEST_INDEX)]] = Field(
        min_length=1, max_length=MOST_LINKS, examples=[[0]]
    )
    purpose: Purpose
    reason: str | None = Field(default=None, min_length=1, max_length=1000)


class ChunkLink(Body):
    """A link to one chunk; a download is saved under its file name. Without SHA-256 it isn't archived yet."""

    index: int
    url: str
    expires_at: datetime
    file_name: str
    content_type: str
    bytes: int
    sha256: str | None = None


class ChunkLinks(Body):
    """Links to chunks of one recording, in the order that was asked for; `correlationId` stands in the trail."""

    recording_key: str
    recording_id: str | None = None
    server_call_id: str | None = None
    reference: str | None = None
    correlation_id: str
    links: list[ChunkLink]


@dataclass(frozen=True)
class Download:
    """A file that the app itself answers with."""

    name: str
    body: bytes


@dataclass(frozen=True)
class _Content:
    """A chunk that can be handed out: as it is listed, and as it lies in storage."""

    index: int
    entry: ManifestChunk
    file: ManifestFile
    blob: StoredBlob


class HandOut:
    """Answers requests for what recordings hold."""

    def __init__(self, blobs: Blobs, catalogue: Catalogue, trail: Trail) -> None:
        self._blobs = blobs
        self._catalogue = catalogue
        self._trail = trail

    async def find(self, caller: Caller, query: ListQuery, *, url: str) -> RecordingList:
        """List recordings; that somebody is searched for is on record, by the digest of the participant.

        Raises what `Catalogue.page` raises, and TrailUnavailable.
        """
        found = await self._catalogue.page(query, url=url, people=caller.sees_people)
        if query.participant is not None:
            digest = await self._catalogue.participant_digest(query.participant)
            await self._trail.write_once(caller, action="search", details={"participant": digest})
        return found

    async def view(self, caller: Caller, key: str) -> RecordingDetail:
        """Return a recording as `Catalogue.detail` does; one look in a quarter of an hour is on record."""
        found = await self._catalogue.detail(key, people=caller.sees_people)
        await self._trail.write_once(caller, action="view", recording=key, recording_id=found.recording_id)
        return found

    async def links(self, caller: Caller, key: str, body: LinkRequest) -> ChunkLinks:
        """Return links of a few minutes to chunks: to all that are asked for, or to none.

        Raises BadRequest for a malformed recording key, NotFound for an unknown one and for chunks that have no content
        yet or no more.
        """
        indexes = [*dict.fromkeys(body.indexes)]
        found, correlation_id, links = await self._links(
            caller, key, indexes, purpose=body.purpose, reason=body.reason, target="indexes"
        )
        return ChunkLinks(
            recording_key=key,
            recording_id=found.recording_id,
            server_call_id=found.server_call_id,
            reference=found.reference,
            correlation_id=correlation_id,
            links=links,
        )

    async def content(self, caller: Caller, key: str, index: str) -> str:
        """Return a link to play one chunk; raises as `links` does, and BadRequest for a malformed index."""
        number = layout.read_index(index)
        _, _, [link] = await self._links(caller, key, [number], purpose="play", target="index")
        return link.url

    async def manifest(self, caller: Caller, key: str) -> Download:
        """Return the newest manifest of an archived recording, byte for byte; raises as `links` does."""
        found, text = await self._archived(key)
        name = _manifest_name(found)
        await self._note_download(caller, found, name)
        return Download(name, text)

    async def checksums(self, caller: Caller, key: str) -> Download:
        """Return the SHA-256 of an archived recording's files under the names of their downloads.

        `sha256sum --check` takes it; what is missing is in its comments, and then `incomplete` is in its name. Raises
        as `links` does.
        """
        found, text = await self._archived(key)
        lines = [f"{hashlib.sha256(text).hexdigest()}  {_manifest_name(found)}"]
        for entry in found.chunks:
            if entry.content and entry.content.sha256 and entry is _entry_at(found, entry.index):
                lines.append(f"{entry.content.sha256}  {entry.file_name(key)}")
            else:
                lines.append(f"# not among them: chunk {entry.index}, document {entry.document_id}, {entry.outcome}")
        name = f"{key}{'' if found.complete else '-incomplete'}-SHA256SUMS"
        await self._note_download(caller, found, name)
        return Download(name, "".join(f"{line}\n" for line in lines).encode())

    async def _links(
        self, caller: Caller, key: str, indexes: list[int], *, purpose: Purpose, target: str, reason: str | None = None
    ) -> tuple[Manifest, str, list[ChunkLink]]:
        """Make links, put on record that they are handed out, and return the recording, their correlation id, and them.

        Made before the fact: whatever fails until then hands nothing out, and leaves no fact that says so.
        """
        found, contents = await self._contents(key, indexes, target=target)
        correlation_id = str(uuid4())
        links = [
            await self._link(found, one, saves=purpose == "download", correlation_id=correlation_id) for one in contents
        ]
        await self._trail.write(
            caller,
            action=purpose,
            recording=key,
            recording_id=found.recording_id,
            indexes=indexes,
            reason=reason,
            correlation_id=correlation_id,
        )
        return found, correlation_id, links

    async def _archived(self, key: str) -> tuple[Manifest, bytes]:
        """Return the newest manifest of an archived recording, and its bytes."""
        found = await self._catalogue.require(key)
        text = (
            await self._blobs.read("archive", layout.manifest_blob(key, found.revision)) if found.archived_at else None
        )
        if text is None:
            raise NotFound("this recording is not archived yet", target="recordingKey")
        return found, text

    async def _note_download(self, caller: Caller, found: Manifest, name: str) -> None:
        await self._trail.write(
            caller,
            action="download",
            recording=found.recording_key,
            recording_id=found.recording_id,
            details={"file": name},
        )

    async def _contents(self, key: str, indexes: list[int], *, target: str) -> tuple[Manifest, list[_Content]]:
        """Return a recording and its content at each index; raises NotFound if one of them has none."""
        found = await self._catalogue.require(key)
        contents = await self._look(found, indexes)
        if len(contents) < len(indexes) and not found.archived_at:
            # It may just have been archived: then staging is empty.
            found = await self._catalogue.require(key)
            contents = await self._look(found, indexes)
        if len(contents) < len(indexes):
            missing = ", ".join(str(index) for index in indexes if index not in {one.index for one in contents})
            raise NotFound(f"this recording has no content, not yet or no more, at {missing}", target=target)
        return found, contents

    async def _look(self, found: Manifest, indexes: list[int]) -> list[_Content]:
        """Look in storage for the content at each index, and return what is there as it is listed."""
        where: Container = "archive" if found.archived_at else "staging"
        contents: dict[int, _Content] = {}

        async def look(index: int) -> None:
            entry = _entry_at(found, index)
            if entry is None or entry.content is None:
                return
            blob = await self._blobs.stat(where, entry.content.blob)
            if blob and blob.size == entry.content.bytes:
                contents[index] = _Content(index, entry, entry.content, blob)
            elif where == "archive":
                log.error(
                    "content.damaged",
                    recordingKey=found.recording_key,
                    blob=entry.content.blob,
                    bytes=blob.size if blob else None,
                    next="no link is handed out; verify the recording",
                )

        await run_each(look, indexes, at_once=_LOOKS)
        return [contents[index] for index in indexes if index in contents]

    async def _link(self, found: Manifest, content: _Content, *, saves: bool, correlation_id: str) -> ChunkLink:
        where: Container = "archive" if found.archived_at else "staging"
        name = content.entry.file_name(found.recording_key)
        url, expires_at = await self._blobs.read_link(
            where, content.blob, file_name=name, saves=saves, correlation_id=correlation_id
        )
        return ChunkLink(
            index=content.index,
            url=url,
            expires_at=expires_at,
            file_name=name,
            content_type=content.blob.content_type or "application/octet-stream",
            bytes=content.blob.size,
            sha256=content.file.sha256,
        )


def _manifest_name(found: Manifest) -> str:
    return f"{found.recording_key}-{layout.manifest_blob(found.recording_key, found.revision).rpartition('/')[2]}"


def _entry_at(found: Manifest, index: int) -> ManifestChunk | None:
    """Return the first chunk at an index that has content."""
    with_content = (one for one in found.listed_at(index) if one.content and one.outcome in _AVAILABLE)
    return next(with_content, None)
