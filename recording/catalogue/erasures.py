"""Use case: list erasures, by the rows of the search index."""

from recording.catalogue.browse import PageQuery, next_link, read_token, reading_index
from recording.model import index
from recording.model.erasure import ErasureSummary
from recording.model.index import Listing
from recording.model.record import Body
from recording.storage.index import Index

_LISTING = Listing("erasures")


class ErasureList(Body):
    """A page of erasures, those that were asked for last first."""

    erasures: list[ErasureSummary]
    cursor: str | None = None
    next_link: str | None = None


async def page(rows: Index, query: PageQuery, *, url: str = "") -> ErasureList:
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
