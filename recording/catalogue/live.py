"""Use case: list what is being recorded."""

from azure.core.exceptions import AzureError
from pydantic import Field

from recording.catalogue.browse import next_link, read_token
from recording.errors import IndexUnavailable, describe
from recording.model import index
from recording.model.index import Listing
from recording.model.live import LiveRecording
from recording.model.record import Body, Record
from recording.storage.index import Index
from recording.telemetry import log

_LISTING = Listing("live")


class LiveQuery(Record, populate_by_name=False):
    """Query of `GET /v1/live`: `cursor` is from an earlier answer."""

    limit: int = Field(default=200, ge=1, le=1000)
    cursor: str | None = Field(default=None, min_length=1, max_length=4096)


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
    try:
        digests = await live.digests()
        token = read_token(digests, _LISTING, query.cursor) if query.cursor is not None else None
        found, following = await live.live_page(limit=query.limit, token=token)
    except AzureError as failed:
        log.error("index.not_read", reason=describe(failed), next="lists fail; no recording is affected")
        raise IndexUnavailable("the search index can't be reached; recordings are not affected") from None
    newest_first = sorted(found, key=lambda one: one.started_at.timestamp() if one.started_at else 0.0, reverse=True)
    if following is None:
        return LiveList(recordings=newest_first)
    cursor = index.write_cursor(digests, _LISTING, following)
    return LiveList(recordings=newest_first, cursor=cursor, next_link=next_link(url, query, cursor))
