"""Use case: list recordings, return one of them, link to the content of a chunk."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    ValidationError,
)

from recording.errors import BadRequest, NotFound
from recording.formats import media
from recording.model import layout, manifest
from recording.model.manifest import Manifest
from recording.model.record import Body, Record
from recording.model.stored import Container
from recording.storage.blobs import Blobs
from recording.storage.recordings import RecordingStore
from recording.telemetry import log


def _check_key(text: str) -> str:
    if not layout.is_recording_key(text):
        raise ValueError("must be the cursor of an earlier answer")
    return text


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time from year 1 to 9999 in UTC") from None


def _require_text(time: object) -> object:
    # pydantic takes a number for seconds since 1970.
    if not isinstance(time, str) or not time[4:5] == "-":
        raise ValueError("must be a time in ISO 8601, such as 2026-11-24T14:02:11Z")
    return time


Time = Annotated[AwareDatetime, BeforeValidator(_require_text), AfterValidator(_in_utc)]


class ListQuery(Record, populate_by_name=False):
    """Query of `GET /recordings`: times in ISO 8601, `cursor` from an earlier answer.

    By their aliases only: `?since=` is not a parameter.
    """

    since: Time | None = Field(default=None, alias="from")
    until: Time | None = Field(default=None, alias="to")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: Annotated[str, AfterValidator(_check_key)] | None = None


class RecordingSummary(Body):
    """A recording in a list."""

    recording_key: str
    state: Literal["ingesting", "staged", "archived", "incomplete", "absent"]
    call_id: str
    recording_start_time: datetime
    chunks: int
    bytes: int


class RecordingList(Body):
    """A page of recordings, newest first; `cursor` asks for the next page."""

    recordings: list[RecordingSummary]
    cursor: str | None = None


class Catalogue:
    """The recordings in flight and in the archive, looked up as one."""

    def __init__(self, blobs: Blobs, recordings: RecordingStore) -> None:
        self._blobs = blobs
        self._recordings = recordings

    async def page(self, query: ListQuery) -> RecordingList:
        """List recordings that started in [from, to), newest first.

        `cursor` is the key of the last recording on the page before: keys sort by time, so a page stays the same
        whatever arrives in the meantime. The cost grows with the page, not with the archive.
        """
        # "~" sorts behind every key.
        newest = query.cursor or "~"
        if query.until:
            newest = min(newest, layout.recording_key(query.until, ""))
        keys: list[str] = []
        async for key in self._newest_first(newest):
            if query.since and layout.recording_start(key) < query.since:
                break
            keys.append(key)
            if len(keys) > query.limit:
                break
        listed = await asyncio.gather(*(self._find_readable(key) for key in keys[: query.limit]))
        return RecordingList(
            recordings=[_summary(one) for one in listed if one is not None],
            cursor=keys[query.limit - 1] if len(keys) > query.limit else None,
        )

    async def get(self, key: str) -> Manifest:
        """Return the manifest of a recording, or its derived state while it is in flight.

        Raises BadRequest for a malformed recording key, NotFound for an unknown one.
        """
        if not layout.is_recording_key(key):
            raise BadRequest("a recording key reads 20210727T152023608975Z-<call id>", target="recordingKey")
        found = await self.find(key)
        if found is None:
            raise NotFound("there is no recording of this key, neither in flight nor archived", target="recordingKey")
        return found

    async def content_link(self, key: str, index: str) -> str:
        """Return a read-only link of a few minutes to the content of the chunk at `index`.

        Raises BadRequest for a malformed index, NotFound if there is no proved content yet.
        """
        if not index.isdecimal() or not index.isascii() or len(index) > 5:
            raise BadRequest("index must be a number from 0 to 99999", target="index")
        found = await self.get(key)
        # A document that was announced at two indices is listed at both.
        listed = [entry for entry in found.chunks if int(index) in (entry.index, *entry.other_indices)]
        for entry in sorted(listed, key=lambda entry: entry.index != int(index)):
            if entry.content and entry.outcome in ("staged", "archived", "unproved"):
                where: Container = "archive" if found.archived_at else "staging"
                # In staging the name of the blob doesn't have the format.
                extension = media.kind_of(entry.content.blob) or entry.format or media.UNKNOWN
                name = f"{key}-{entry.index:05}.{extension}"
                return await self._blobs.read_link(where, entry.content.blob, file_name=name)
        raise NotFound("this recording has no content at this index, or not yet", target="index")

    async def find(self, key: str) -> Manifest | None:
        """Find a recording in the archive, or else among those in flight."""
        archived = await self._recordings.newest_manifest(key)
        if archived is not None:
            return archived
        recording = await self._recordings.load(key)
        return manifest.write_manifest(recording, archived_at=None) if recording.events else None

    async def _find_readable(self, key: str) -> Manifest | None:
        """Find a recording for a list: one that can't be read is omitted, the others are listed."""
        try:
            return await self.find(key)
        except ValidationError:
            log.error("recording.unreadable", recordingKey=key, next="omitted from the list; inspect its manifest")
            return None

    async def _newest_first(self, before: str) -> AsyncIterator[str]:
        """List recording keys downwards from `before`, day by day, in flight and archived together."""
        in_flight = {key for key in await self._blobs.folders("staging") if layout.is_recording_key(key)}
        last = f"{before[:4]}/{before[4:6]}/{before[6:8]}" if before != "~" else "~"
        async for day in self._days({layout.day(key) for key in in_flight}):
            if day <= last:
                archived = await self._recordings.archived_keys_of(day)
                for key in sorted({*archived, *(key for key in in_flight if layout.day(key) == day)}, reverse=True):
                    if key < before:
                        yield key

    async def _days(self, of_in_flight: set[str]) -> AsyncIterator[str]:
        """List the days that have recordings, newest first: `2021/07/27`; `of_in_flight` are added to the archive's."""
        left = sorted(of_in_flight)
        async for day in self._recordings.archived_days():
            while left and left[-1] >= day:
                if (newer := left.pop()) != day:
                    yield newer
            yield day
        while left:
            yield left.pop()


def _summary(found: Manifest) -> RecordingSummary:
    return RecordingSummary(
        recording_key=found.recording_key,
        state=found.state,
        call_id=found.call_id,
        recording_start_time=found.recording_start_time,
        chunks=len(found.chunks),
        bytes=sum(entry.content.bytes for entry in found.chunks if entry.content),
    )
