"""Use case: list what is being recorded."""

from pydantic import Field

from recording.catalogue.browse import Cursor, next_link, read_token, reading_index
from recording.model import index
from recording.model.index import Listing
from recording.model.live import LiveRecording
from recording.model.record import Body, Record
from recording.storage.index import Index

_LISTING = Listing("live")


class LiveQuery(Record, populate_by_name=False):
    """Query of `GET /v1/live`: `cursor` is from an earlier answer."""

    limit: int = Field(default=200, ge=1, le=1000)
    cursor: Cursor | None = None


class LiveList(Body):
    """Recordings that were started through this app and aren't announced yet, the newest of a page first.

    Each is paused, resumed and stopped at `conversations/{conversationId}/recordings/{recordingId}`.
    """

    recordings: list[LiveRecording]
    cursor: str | None = None
    next_link: str | None = None


async def page(live: Index, query: LiveQuery, *, url: str = "") -> LiveList:
    """List live recordings, by one request; `url` is the address that was asked.

    Raises BadRequest for a cursor of another list, IndexUnavailable.
    """
    async with reading_index():
        digests = await live.digests()
        token = read_token(digests, _LISTING, query.cursor) if query.cursor is not None else None
        found, following = await live.live_page(limit=query.limit, token=token)
    newest_first = sorted(found, key=lambda one: one.started_at.timestamp() if one.started_at else 0.0, reverse=True)
    if following is None:
        return LiveList(recordings=newest_first)
    cursor = index.write_cursor(digests, _LISTING, following)
    return LiveList(recordings=newest_first, cursor=cursor, next_link=next_link(url, query, cursor))
