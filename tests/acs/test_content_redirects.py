"""recording/acs/content.py: how redirects are followed, and to where."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from recording.acs import content as module
from recording.acs.content import Content
from recording.config.resource import Resource
from recording.errors import SourceRefused, SourceUnavailable
from tests.acs.media import DOCUMENT, JOB, MEDIA, PROBE, VIDEO, ranged
from tests.support.hosts import REFUSED
from tests.support.origin import KEY, Origin


@pytest_asyncio.fixture
async def content(origin: Origin, elsewhere: Origin) -> AsyncIterator[Content]:
    """The client; bytes may also come from elsewhere."""
    client = Content(Resource(origin.url, KEY), extra_hosts=[elsewhere.authority])
    elsewhere.answer = ranged
    yield client
    await client.aclose()


def redirects(origin: Origin, location: str, *, status: int = 302) -> None:
    """Make a server redirect."""
    origin.replies((status, b"", {"Location": location}))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_every_hop_is_signed_anew(content: Content, origin: Origin, elsewhere: Origin, status: int) -> None:
    """A hop to the storage host keeps the range and has a signature of its own, over the ACS host."""
    redirects(origin, f"{elsewhere.url}/v1/objects/{DOCUMENT}/content/video", status=status)

    assert MEDIA[100:150] == await content.read(JOB, PROBE, offset=100, length=50)

    [first], [second] = origin.received, elsewhere.received
    assert (f"/v1/objects/{DOCUMENT}/content/video", "bytes=100-149") == (second.target, second.headers["Range"])
    assert first.headers["Range"] == second.headers["Range"]
    assert first.is_signed(host=origin.authority)
    assert second.is_signed(host=origin.authority)
    assert first.headers["Authorization"] != second.headers["Authorization"]
    assert (None, origin.authority) == (first.headers.get("x-ms-host"), second.headers.get("x-ms-host"))


async def test_metadata_follows_redirects_too(content: Content, origin: Origin, elsewhere: Origin) -> None:
    """The metadata file may be on the storage host as well."""
    redirects(origin, f"{elsewhere.url}/v1/objects/{DOCUMENT}/content/acsmetadata")
    elsewhere.replies((200, b"{}", {}))

    assert await content.metadata(JOB) == b"{}"


@pytest.mark.parametrize("location", ["/moved/there?a=b", "there", "//{authority}/moved"])
async def test_relative_redirects(content: Content, origin: Origin, location: str) -> None:
    """A location may be relative to the address that gave it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "/recording/download/0" not in request.path:
            return await ranged(request)
        return web.Response(status=302, headers={"Location": location.format(authority=origin.authority)})

    origin.answer = answer

    assert (await content.probe(JOB)).size == len(MEDIA)
    assert [True, True] == [sent.is_signed(host=origin.authority) for sent in origin.received]


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/a%7Eb?q=%7E", "/a~b?q=~"),
        ("/a%2Fb%3D", "/a%2Fb="),
        ("/ü b?x=ü", "/%C3%BC%20b?x=%C3%BC"),
        ("/a#fragment", "/a"),
        ("/a?sig=a%2Bb%3D%26c", "/a?sig=a%2Bb%3D%26c"),
    ],
)
async def test_locations_are_signed_as_they_are_sent(
    content: Content, origin: Origin, elsewhere: Origin, location: str, target: str
) -> None:
    """However a location is spelt, the signature is that of what goes over the wire."""
    redirects(origin, elsewhere.url + location)

    await content.probe(JOB)

    [sent] = elsewhere.received
    assert target == sent.target
    assert sent.is_signed(host=origin.authority)


async def test_a_few_redirects_are_followed(content: Content, origin: Origin) -> None:
    """Five hops are followed, a sixth is not."""
    left = module.MOST_REDIRECTS

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal left
        left -= 1
        return web.Response(status=302, headers={"Location": "/next"}) if left >= 0 else await ranged(request)

    origin.answer = answer
    await content.probe(JOB)
    assert len(origin.received) == 6

    left = module.MOST_REDIRECTS + 1
    with pytest.raises(SourceRefused, match="more than 5 redirects"):
        await content.probe(JOB)
    assert len(origin.received) == 12


@pytest.mark.parametrize("headers", [{}, {"Location": ""}])
async def test_a_redirect_to_nowhere(content: Content, origin: Origin, headers: dict[str, str]) -> None:
    """A redirect without a location ends, as one that goes in circles does."""
    origin.replies((302, b"", headers))

    with pytest.raises(SourceRefused, match="redirects"):
        await content.probe(JOB)


async def test_a_redirect_that_is_retried(content: Content, origin: Origin, elsewhere: Origin) -> None:
    """A failure behind a redirect is tried again there."""
    redirects(origin, f"{elsewhere.url}/x")
    elsewhere.replies((503, b"", {}), (200, MEDIA, VIDEO))

    assert (await content.probe(JOB)).size == len(MEDIA)
    assert (1, 2) == (len(origin.received), len(elsewhere.received))


@pytest.mark.parametrize("location", [url for url in REFUSED if url.startswith(("http", "ftp", "file"))])
async def test_a_redirect_to_a_refused_host(content: Content, origin: Origin, elsewhere: Origin, location: str) -> None:
    """A redirect to any other host is not followed, and the message doesn't show its address."""
    redirects(origin, location.encode("utf-8").decode("latin-1"))

    with pytest.raises(SourceRefused) as caught:
        await content.probe(JOB)

    assert (1, 0) == (len(origin.received), len(elsewhere.received))
    assert not any(part in caught.value.message for part in ("password", "/x", "oauth2"))


async def test_the_second_hop_is_checked_as_well(content: Content, origin: Origin, elsewhere: Origin) -> None:
    """An allowed host can't send us on to one that isn't."""
    redirects(origin, f"{elsewhere.url}/x")
    redirects(elsewhere, "https://evil.example/x?token=s3cret")

    with pytest.raises(SourceRefused, match=r"host 'evil\.example' is not allowed") as caught:
        await content.probe(JOB)

    assert "s3cret" not in caught.value.message


async def test_another_port_is_another_host(origin: Origin, elsewhere: Origin) -> None:
    """On the loopback too, only the very port that was set is allowed."""
    client = Content(Resource(origin.url, KEY))
    redirects(origin, f"{elsewhere.url}/x")
    try:
        with pytest.raises(SourceRefused):
            await client.probe(JOB)
    finally:
        await client.aclose()

    assert elsewhere.received == []


async def test_nobody_listens(unused_tcp_port: int) -> None:
    """A source that can't be reached is unavailable; its address isn't shown."""
    client = Content(Resource(f"http://127.0.0.1:{unused_tcp_port}", KEY))
    try:
        with pytest.raises(SourceUnavailable) as caught:
            await client.probe(JOB)
    finally:
        await client.aclose()

    assert caught.value.message == "ACS could not be reached (ServiceRequestError)"
