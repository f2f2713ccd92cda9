"""Send bytes to a client without buffering them, with or without an injected fault."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from aiohttp import web

from local.acs.contents import PIECE_BYTES, Bytes, Content
from local.acs.journal import ENTRY
from local.faults.body import BodyEnded, BodyFault, end_connection


@dataclass(frozen=True)
class Shape(BodyFault):
    """What is wrong with an answer; by default nothing."""

    ignore_range: bool = False
    etag: str | None = None
    size: int | None = None
    content_type: str | None = None


UNCHANGED = Shape()
SHAPE = web.RequestKey("shape", Shape)


async def transmit(
    request: web.Request,
    content: Content,
    *,
    status: int,
    headers: Mapping[str, str],
    offset: int = 0,
    length: int | None = None,
    shape: Shape = UNCHANGED,
) -> web.StreamResponse:
    """Answer with ``length`` bytes of a content from ``offset``, piece by piece."""
    length = content.size - offset if length is None else length
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = length
    entry = request[ENTRY]
    entry.status = status
    try:
        await response.prepare(request)
        async for piece in shape.apply(_pieces(content, offset, length), length=length):
            await response.write(piece)
            entry.bytes_sent += len(piece)
        await response.write_eof()
    except BodyEnded:
        await end_connection(request, reset=shape.reset)
    except ConnectionError:
        # The client closed the connection; the journal has what was sent until then.
        response.force_close()
    return response


async def _pieces(content: Content, offset: int, length: int) -> AsyncIterator[Bytes]:
    end = offset + length
    while offset < end:
        for piece in await content.read(offset, min(PIECE_BYTES, end - offset)):
            yield piece
            offset += len(piece)
