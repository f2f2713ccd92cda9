"""benchmarks/source.py: the bytes that are copied."""

import aiohttp

from benchmarks.document import document_id, filler
from benchmarks.shaping import NONE
from benchmarks.source import handler
from benchmarks.wire import Server

SIZE = 3_000_000


async def test_a_range_is_a_part_of_the_whole() -> None:
    """The source answers a range with 206 and just these bytes, which are the document's."""
    document = document_id(SIZE, number=7)
    async with Server(handler(), NONE) as server, aiohttp.ClientSession() as http:
        url = f"{server.url}/recording/download/{document}"
        async with http.get(url) as response:
            whole = await response.read()
        async with http.get(url, headers={"Range": "bytes=1000000-1999999"}) as response:
            found = (response.status, response.headers["Content-Range"], await response.read())

    content = filler(document)
    assert content is not None
    assert whole == b"".join(content.pieces(0, SIZE))
    assert found == (206, f"bytes 1000000-1999999/{SIZE}", whole[1_000_000:2_000_000])


async def test_an_unknown_document() -> None:
    """A document whose id says no size isn't there, and the connection goes on."""
    async with Server(handler(), NONE) as server, aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/recording/download/0-other-1") as response:
            assert response.status == 404
        async with http.get(f"{server.url}/recording/download/{document_id(2000, number=1)}") as response:
            assert len(await response.read()) == 2000

        assert server.counters["requests"] == 2
        assert server.counters["connections"] == 1
