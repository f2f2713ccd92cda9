"""recording/acs/content.py: bytes that break off, change, or don't come."""

import asyncio
import re
import time

import pytest
from aiohttp import web
from azure.core.pipeline.transport import AsyncHttpTransport

from recording.acs.content import Content
from recording.config.resource import Resource
from recording.errors import SourceChanged, SourceDamaged, SourceGone, SourceUnavailable
from tests.acs.media import JOB, MEDIA, MIB, PROBE, VIDEO, job_of, whole
from tests.support.emulator import Control
from tests.support.origin import KEY, Origin


async def test_another_range_than_was_asked_for(content: Content, origin: Origin) -> None:
    """Bytes from another place are not the block's."""
    span = {"Content-Range": f"bytes 0-99/{len(MEDIA)}"}
    origin.replies((206, MEDIA[:100], {**VIDEO, **span}))

    with pytest.raises(SourceDamaged, match="a range that was not requested"):
        await content.read(JOB, PROBE, offset=100, length=100)


async def test_what_a_shorter_range_lacks_is_asked_for(content: Content, origin: Origin) -> None:
    """A server may send less of a range than was asked for (RFC 9110, 15.3.7), and says so."""

    async def in_fifties(request: web.Request) -> web.StreamResponse:
        first = request.http_range.start or 0
        span = {"Content-Range": f"bytes {first}-{first + 49}/{len(MEDIA)}"}
        return web.Response(status=206, body=MEDIA[first : first + 50], headers={**VIDEO, **span})

    origin.answer = in_fifties

    assert MEDIA[100:220] == await content.read(JOB, PROBE, offset=100, length=120)
    assert ["bytes=100-219", "bytes=150-219", "bytes=200-219"] == [one.headers["Range"] for one in origin.received]


async def test_without_a_validator_no_range_is_put_together(content: Content, origin: Origin) -> None:
    """Two answers may be of two versions."""
    span = {"Content-Range": f"bytes 0-49/{len(MEDIA)}"}
    origin.replies((206, MEDIA[:50], span))
    probe = await content.probe(JOB)

    with pytest.raises(SourceDamaged, match="ended 50 bytes early"):
        await content.read(JOB, probe, offset=0, length=100)


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_that_is_longer_than_its_range_is_refused(
    content: Content, origin: Origin, *, is_chunked: bool
) -> None:
    """Either the headers or the bytes are wrong: none of them is kept, and the last isn't handed on."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=206, headers={**VIDEO, "Content-Range": f"bytes 0-99/{len(MEDIA)}"})
        response.content_length = None if is_chunked else 200
        await response.prepare(request)
        for offset in (0, 100):
            await response.write(MEDIA[offset : offset + 100])
        return response

    origin.answer = answer
    received = bytearray()

    async def receive() -> None:
        async for piece in content.stream(JOB, PROBE, offset=0, length=100):
            received.extend(piece)

    with pytest.raises(SourceDamaged, match="goes on after the end" if is_chunked else "declared 200 bytes"):
        await receive()
    assert len(received) < 100


@pytest.mark.parametrize("span", ["bytes 9-0/100", "bytes 0-100/100"])
async def test_an_impossible_range_is_refused(content: Content, origin: Origin, span: str) -> None:
    """It ends before it begins, or after the document."""
    origin.replies((206, MEDIA[:100], {**VIDEO, "Content-Range": span}))

    with pytest.raises(SourceDamaged, match="impossible"):
        await content.probe(JOB)


@pytest.mark.parametrize("span", ["bytes 0-1023/{}", "bytes 0-{}/{}1", "bytes 100-199/{}", "bytes 1-{}/{}"])
async def test_a_part_with_the_status_of_all_is_a_part(content: Content, origin: Origin, span: str) -> None:
    """The storage host sends a Content-Range with 200, too: what it cuts short must not be archived as all there is."""
    text = span.replace("{}/", f"{len(MEDIA) - 1}/").replace("{}", str(len(MEDIA)))
    first, last, total = (int(one) for one in re.findall("[0-9]+", text))
    origin.replies((200, MEDIA[first : last + 1], {**VIDEO, "Content-Range": text}))

    if first:
        with pytest.raises(SourceDamaged, match="not requested"):
            await content.probe(JOB)
    else:
        assert (total, True) == ((probe := await content.probe(JOB)).size, probe.takes_ranges)
        assert total == await content.measure(JOB)
    if first or total > len(MEDIA):
        with pytest.raises(SourceDamaged):
            await content.metadata(JOB)


@pytest.mark.parametrize("span", ["bytes 0-{}/{}", "bytes 0-{}/*", "nonsense", "bytes */{}"])
async def test_the_range_of_all_with_the_status_of_all_says_nothing_new(
    content: Content, origin: Origin, span: str
) -> None:
    """It is not known to take ranges."""
    text = span.replace("{}/", f"{len(MEDIA) - 1}/").replace("{}", str(len(MEDIA)))
    origin.replies((200, MEDIA, {**VIDEO, "Content-Range": text}))

    probe = await content.probe(JOB)

    assert (len(MEDIA), False) == (probe.size, probe.takes_ranges)
    assert MEDIA[9:99] == await content.read(JOB, probe, offset=9, length=90)


@pytest.mark.parametrize("etag", ['W/"a"', 'w/"a"'])
async def test_a_weak_etag_allows_other_bytes(content: Content, origin: Origin, etag: str) -> None:
    """In lower case as well, which no server should send."""
    origin.replies((200, MEDIA, {"ETag": etag}))

    assert not (await content.probe(JOB)).has_validator


@pytest.mark.parametrize("name", ["Last-Modified", "Date"])
@pytest.mark.parametrize("value", ["soon", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", f"Mon, 99 {'9' * 99}"])
async def test_a_date_that_cannot_be_read_is_none(content: Content, origin: Origin, name: str, value: str) -> None:
    """Without a date there is no validator."""
    dates = {"Last-Modified": "Wed, 14 Apr 2021 16:32:34 GMT", "Date": "Wed, 14 Apr 2021 18:32:34 GMT"}
    origin.replies((200, MEDIA, {**dates, name: value}))

    assert not (await content.probe(JOB)).has_validator


@pytest.mark.parametrize("kind", ["cut", "short"])
@pytest.mark.parametrize("after", [0, 1, MIB])
async def test_a_body_that_breaks_off(emulated_content: Content, control: Control, kind: str, after: int) -> None:
    """A body that ends before its declared length is unavailable, not damaged: the next try may succeed."""
    [chunk] = (await control.recording(3 * MIB))["chunks"]
    probe = await emulated_content.probe(job_of(chunk))
    await control.fault(kind, "/recording/download/*", afterBytes=after)
    received = bytearray()

    async def receive() -> None:
        async for piece in emulated_content.stream(job_of(chunk), probe, offset=0, length=probe.size):
            received.extend(piece)

    with pytest.raises(SourceUnavailable, match="broke off"):
        await receive()

    start = await emulated_content.read(job_of(chunk), probe, offset=0, length=after + 1)
    assert start.startswith(received)
    assert len(received) <= after


async def test_metadata_that_breaks_off(emulated_content: Content, control: Control) -> None:
    """Half a metadata file is none."""
    [chunk] = (await control.recording(MIB))["chunks"]
    await control.fault("short", "/recording/download/*/metadata")

    with pytest.raises(SourceUnavailable):
        await emulated_content.metadata(job_of(chunk))


@pytest.mark.parametrize("fault", [{"etag": '"v2"'}, {"etag": '"v2"', "length": 2 * MIB}, {"length": 4 * MIB}])
async def test_a_document_that_changes(emulated_content: Content, control: Control, fault: dict[str, object]) -> None:
    """Another ETag or length than the probe saw is another document: no byte of it is passed on."""
    [chunk] = (await control.recording(3 * MIB))["chunks"]
    probe = await emulated_content.probe(job_of(chunk))
    await control.fault("etag", "/recording/download/*", **fault)

    with pytest.raises(SourceChanged):
        await emulated_content.read(job_of(chunk), probe, offset=0, length=100)


@pytest.mark.parametrize("headers", [{"Last-Modified": "Wed, 14 Apr 2021 16:32:34 GMT"}, {}])
async def test_a_document_without_etag(content: Content, origin: Origin, headers: dict[str, str]) -> None:
    """Without an ETag the date distinguishes versions, or at least the length."""
    origin.replies((200, MEDIA, headers))
    probe = await content.probe(JOB)
    assert MEDIA[:9] == await content.read(JOB, probe, offset=0, length=9)

    origin.replies((200, MEDIA + b"x", headers))
    with pytest.raises(SourceChanged):
        await content.read(JOB, probe, offset=0, length=9)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, SourceGone, "no such document (404)"),
        (410, SourceGone, "no such document (410)"),
        (401, SourceUnavailable, "refused this app's credentials (401)"),
        (403, SourceUnavailable, "refused this app's credentials (403)"),
        (400, SourceUnavailable, "answered with 400"),
        (204, SourceUnavailable, "answered with 204"),
        (304, SourceUnavailable, "answered with 304"),
    ],
)
async def test_statuses(content: Content, origin: Origin, status: int, error: type[Exception], message: str) -> None:
    """The answers of the service are distinguished, and none of them is repeated."""
    origin.replies((status, b"", {}))

    with pytest.raises(error, match=re.escape(message)):
        await content.probe(JOB)
    with pytest.raises(error, match=re.escape(message)):
        await content.metadata(JOB)

    assert len(origin.received) == 2


async def test_no_range_of_an_empty_document(content: Content, origin: Origin) -> None:
    """A 416 for the very first bytes means that there are none."""
    origin.replies((416, b"", {"Content-Range": "bytes */0"}))

    with pytest.raises(SourceDamaged, match="no bytes"):
        await content.probe(JOB)


async def test_a_range_behind_the_end(content: Content, origin: Origin) -> None:
    """A 416 later on means that the document became shorter."""
    origin.replies((416, b"", {"Content-Range": "bytes */50"}))

    with pytest.raises(SourceChanged, match="shorter"):
        await content.read(JOB, PROBE, offset=100, length=10)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_failure_that_passes(content: Content, origin: Origin, status: int) -> None:
    """A failure of the service is retried with a new signature."""
    origin.replies((status, b"", {}), (200, MEDIA, VIDEO))

    assert len(MEDIA) == (await content.probe(JOB)).size
    assert [True, True] == [sent.is_signed(host=origin.authority) for sent in origin.received]


async def test_retry_after_is_honoured(content: Content, origin: Origin) -> None:
    """The service says how long to wait, and so long is waited."""
    origin.replies((503, b"", {"Retry-After": "1"}), (200, MEDIA, VIDEO))
    started = time.monotonic()

    await content.probe(JOB)

    assert 1 <= time.monotonic() - started < 3


async def test_a_retry_after_that_is_too_long(content: Content, origin: Origin) -> None:
    """An hour is not waited for: it would hold a stream that other chunks need."""
    origin.replies((503, b"", {"Retry-After": "3600"}), (200, MEDIA, VIDEO))

    with pytest.raises(SourceUnavailable, match="answered with 503"):
        await content.probe(JOB)

    assert len(origin.received) == 1


async def test_an_outage(content: Content, origin: Origin) -> None:
    """After a few tries it is the queue's turn."""
    origin.replies((503, b"", {}))

    with pytest.raises(SourceUnavailable, match="answered with 503"):
        await content.probe(JOB)

    assert len(origin.received) == 4


async def test_a_connection_that_is_lost(content: Content, origin: Origin) -> None:
    """A connection that ends before the answer is tried again."""

    async def lose(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        origin.answer = whole
        request.transport.abort()
        return web.Response()

    origin.answer = lose

    assert len(MEDIA) == (await content.probe(JOB)).size


async def test_a_source_that_hangs(origin: Origin) -> None:
    """The wait for the next bytes of a body is bounded."""

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={**VIDEO, "Content-Length": str(len(MEDIA))})
        await response.prepare(request)
        await response.write(MEDIA[:100])
        await asyncio.sleep(5)
        return response

    origin.answer = stall
    client = Content(Resource(origin.url, KEY), read_timeout=0.2)
    try:
        with pytest.raises(SourceUnavailable, match="broke off"):
            await client.read(JOB, PROBE, offset=0, length=1_000)
    finally:
        await client.aclose()


@pytest.mark.parametrize("end", [b"zz\r\n", b"5\r\nhelloXX", b"-1\r\n"])
async def test_a_chunked_body_with_malformed_framing_does_not_hang(origin: Origin, end: bytes) -> None:
    """The client drops its own time-out then."""

    async def wrong(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + MEDIA[:2048] + b"\r\n"
        )
        await asyncio.sleep(0.1)
        request.transport.write(end)
        await asyncio.sleep(3)
        return web.Response()

    origin.answer = wrong
    client = Content(Resource(origin.url, KEY), read_timeout=0.3)
    try:
        async with asyncio.timeout(2):
            for step in (client.measure, client.metadata):
                with pytest.raises(SourceUnavailable, match=r"stopped for 0\.3 s|broke off"):
                    await step(JOB)
    finally:
        await client.aclose()


@pytest.mark.parametrize("when", ["soon", "Mon, 99 Foo", "1e400", "Mon, 01 Jan 99999999999 00:00:00 GMT"])
@pytest.mark.parametrize("status", [404, 429, 503])
async def test_a_retry_after_that_cannot_be_read_asks_for_nothing(
    content: Content, origin: Origin, monkeypatch: pytest.MonkeyPatch, status: int, when: str
) -> None:
    """The status decides what the failure is, as without it."""

    async def at_once(*_: object) -> None:
        pass

    monkeypatch.setattr(AsyncHttpTransport, "sleep", at_once)
    origin.replies((status, b"", {"Retry-After": when}))

    with pytest.raises(SourceGone if status == 404 else SourceUnavailable):
        await content.probe(JOB)
