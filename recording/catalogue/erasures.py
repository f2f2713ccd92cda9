"""Use case: list erasures, by the rows of the search index."""

from pydantic import Field

from recording.catalogue.browse import Cursor, next_link, read_token, reading_index
from recording.model import index
from recording.model.erasure import ErasureSummary
from recording.model.index import Listing
from recording.model.record import Body, Record
from recording.storage.index import Index

_LISTING = Listing("erasures")


class ErasuresQuery(Record, populate_by_name=False):
    """Query of the list of erasures; `cursor` is from an earlier answer."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: Cursor | None = None


class ErasureList(Body):
    """A page of erasures, those that were asked for last first."""

    erasures: list[ErasureSummary]
    cursor: str | None = None
    next_link: str | None = None


async def page(rows: Index, query: ErasuresQuery, *, url: str = "") -> ErasureList:
    """List erasures, by one request; `url` is the address that was asked.

    Raises BadRequest for a cursor of another list, IndexUnavailable.
    """
    async with reading_index():
        digests = await rows.digests()
        token = read_token(digests, _LISTING, query.cursor) if query.cursor is not None else None
        found, following = await rows.erasures(limit=query.limit, token=token)
    if following is None:
        return ErasureList(erasures=found)
    cursor = index.write_cursor(digests, _LISTING, following)
    return ErasureList(erasures=found, cursor=cursor, next_link=next_link(url, query, cursor))
