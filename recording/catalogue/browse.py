"""Use case: look recordings up: a list, one of them, a link to a chunk's content."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
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
        raise ValueError("must be the cursor of the page before")
    return text


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time from year 1 to 9999 in UTC") from None


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class ListQuery(Record, populate_by_name=False):
    """Query of `GET /recordings`: times in ISO 8601, `cursor` from the page before.

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


async def page(blobs: Blobs, recordings: RecordingStore, query: ListQuery) -> RecordingList:
    """List recordings that started in [from, to), newest first.

    `cursor` is the key of the last recording of the page before: keys sort by time, so a page is
    the same whatever arrives in the meantime. What it costs grows with the page, not the archive.
    """
    # "~" sorts behind every key.
    newest = query.cursor or "~"
    if query.until:
        newest = min(newest, layout.recording_key(query.until, ""))
    keys: list[str] = []
    async for key in _newest_first(blobs, recordings, newest):
        if query.since and layout.recording_start(key) < query.since:
            break
        keys.append(key)
        if len(keys) > query.limit:
            break
    listed = await asyncio.gather(*(_readable(key, recordings) for key in keys[: query.limit]))
    return RecordingList(
        recordings=[_summary(one) for one in listed if one is not None],
        cursor=keys[query.limit - 1] if len(keys) > query.limit else None,
    )


async def get(key: str, recordings: RecordingStore) -> Manifest:
    """Read a recording's manifest, or its derived state while it is in flight.

    Raises BadRequest for something that is no recording key, NotFound for an unknown one.
    """
    if not layout.is_recording_key(key):
        raise BadRequest("a recording key reads 20210727T152023608975Z-<call id>", target="recordingKey")
    found = await find(key, recordings)
    if found is None:
        raise NotFound("there is no recording of this key, neither in flight nor archived", target="recordingKey")
    return found


async def content_link(key: str, index: str, blobs: Blobs, recordings: RecordingStore) -> str:
    """Make a read-only link of a few minutes to the content of the chunk at `index`.

    Raises BadRequest for an index that isn't one, NotFound if there is no proved content yet.
    """
    if not index.isdecimal() or not index.isascii() or len(index) > 5:
        raise BadRequest("index must be a number from 0 to 99999", target="index")
    found = await get(key, recordings)
    for entry in found.chunks:
        if entry.index == int(index) and entry.content and entry.outcome in ("staged", "archived", "unproved"):
            where: Container = "archive" if found.archived_at else "staging"
            # In staging the blob's name doesn't say what it is.
            extension = media.kind_of(entry.content.blob) or entry.format or media.UNKNOWN
            return await blobs.read_link(where, entry.content.blob, file_name=f"{key}-{entry.index:05}.{extension}")
    raise NotFound("this recording has no content at this index, or not yet", target="index")


async def find(key: str, recordings: RecordingStore) -> Manifest | None:
    """Look a recording up in the archive, then among those in flight."""
    archived = await recordings.newest_manifest(key)
    if archived is not None:
        return archived
    recording = await recordings.load(key)
    return manifest.write_manifest(recording, archived_at=None) if recording.events else None


async def _readable(key: str, recordings: RecordingStore) -> Manifest | None:
    """Look a recording up for a list: one that can't be read must not cost the others their place in it."""
    try:
        return await find(key, recordings)
    except ValidationError:
        log.error("recording.unreadable", recordingKey=key, next="left out of the list; look at its manifest")
        return None


async def _newest_first(blobs: Blobs, recordings: RecordingStore, before: str) -> AsyncIterator[str]:
    """Walk recording keys downwards from `before`, day by day, in flight and archived together."""
    in_flight = {key for key in await blobs.folders("staging") if layout.is_recording_key(key)}
    last = f"{before[:4]}/{before[4:6]}/{before[6:8]}" if before != "~" else "~"
    async for day in _days(recordings, {layout.day(key) for key in in_flight}):
        if day <= last:
            archived = await recordings.archived_keys_of(day)
            for key in sorted({*archived, *(key for key in in_flight if layout.day(key) == day)}, reverse=True):
                if key < before:
                    yield key


async def _days(recordings: RecordingStore, more: set[str]) -> AsyncIterator[str]:
    """Walk the days that have recordings, newest first: `2021/07/27`; `more` are days of those in flight."""
    left = sorted(more)
    async for day in recordings.archived_days():
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
