"""recording/acs/content.py: chunk bytes and metadata as they should come, and answers that are neither."""

import hashlib
import re
import tracemalloc

import pytest
from aiohttp import web

from recording.acs.content import Content, Probe
from recording.config.resource import Resource
from recording.errors import SourceDamaged, SourceUnavailable, SourceUnmeasured
from recording.model import payload
from tests.acs.media import DOCUMENT, JOB, MEDIA, MIB, PROBE, VERSION, VIDEO, job_of, ranged, whole
from tests.support.emulator import Control
from tests.support.origin import KEY, Origin
from tests.support.source import Answer, mp3, mp4, wav


async def test_a_document_of_the_emulator(emulated_content: Content, control: Control) -> None:
    """Probe, content and metadata of a document are what the service has."""
    [chunk] = (await control.recording(3 * MIB))["chunks"]
    job = job_of(chunk)

    probe = await emulated_content.probe(job)
    body = b"".join([piece async for piece in emulated_content.stream(job, probe, offset=0, length=probe.size)])

    assert (3 * MIB, True, b"ftyp") == (probe.size, probe.takes_ranges, probe.head[4:8])
    assert chunk["sha256"] == hashlib.sha256(body).hexdigest()
    assert f'"{job.document_id}"'.encode() in await emulated_content.metadata(job)
    assert ["bytes=0-1023", f"bytes=0-{3 * MIB - 1}"] == [r["range"] for r in await control.downloads()]


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (0, 100), (1, 1), (4_000, 2_000), (len(MEDIA) - 7, 7)])
@pytest.mark.parametrize("answer", [ranged, whole])
async def test_ranges(content: Content, origin: Origin, answer: object, offset: int, length: int) -> None:
    """Exactly the range comes, from the first byte on or a later one, whether the server supports ranges or not."""
    origin.answer = answer  # type: ignore[assignment]  # one of the two above

    assert MEDIA[offset : offset + length] == await content.read(JOB, PROBE, offset=offset, length=length)
    assert f"bytes={offset}-{offset + length - 1}" == origin.received[0].headers["Range"]


@pytest.mark.parametrize(("answer", "takes_ranges"), [(ranged, True), (whole, False)])
async def test_a_probe(content: Content, origin: Origin, answer: object, *, takes_ranges: bool) -> None:
    """A probe finds the size, the version, and whether ranges are supported."""
    origin.answer = answer  # type: ignore[assignment]  # one of the two above

    version = f'"v1"|{len(MEDIA)}'
    expected = Probe(len(MEDIA), "mp4", version, '"v1"', takes_ranges, MEDIA[:1024], content_type="video/mp4")
    assert expected == await content.probe(JOB)


@pytest.mark.parametrize(
    ("given", "sent"),
    [("0-eus_d12.801b", "0-eus_d12.801b"), ("0-eus:d1@b", "0-eus:d1@b"), ("..a", "..a")],
)
async def test_a_document_whose_id_is_no_name_is_fetched_by_its_id(
    content: Content, origin: Origin, given: str, sent: str
) -> None:
    """The job has both: the derived name for our blobs, the id for ACS."""
    origin.replies((200, MEDIA, VIDEO), (200, b"{}", {"Content-Type": "application/json"}))
    job = JOB.model_copy(update={"document_id": "derived-0", "source_id": given})

    await content.probe(job)
    await content.metadata(job)

    assert [f"/recording/download/{sent}{VERSION}", f"/recording/download/{sent}/metadata{VERSION}"] == [
        one.target for one in origin.received
    ]


async def test_what_is_sent(content: Content, origin: Origin) -> None:
    """Content and metadata are asked for by the documented addresses, signed, and uncompressed."""
    origin.replies((200, MEDIA, VIDEO), (200, b"{}", {"Content-Type": "application/json"}))

    await content.probe(JOB)
    await content.metadata(JOB)

    assert [
        f"/recording/download/{DOCUMENT}{VERSION}",
        f"/recording/download/{DOCUMENT}/metadata{VERSION}",
    ] == [sent.target for sent in origin.received]
    assert [("GET", "identity")] * 2 == [(sent.method, sent.headers["Accept-Encoding"]) for sent in origin.received]
    assert all(sent.is_signed(host=origin.authority) for sent in origin.received)
    assert not any("x-ms-host" in sent.headers for sent in origin.received)


async def test_metadata_comes_as_it_is(content: Content, origin: Origin) -> None:
    """The metadata file is handed on byte by byte, however it is written (docs/acs-contract.md#storage-host)."""
    body = b'\xef\xbb\xbf{\r\n  "callId": "\xc3\xbc",\r\n  "sampleRate": "16000"\r\n}\r\n'
    origin.replies((200, body, {"Content-Type": "application/octet-stream"}))

    assert body == await content.metadata(JOB)


async def test_metadata_may_come_as_a_part_that_is_all_of_it(content: Content, origin: Origin) -> None:
    """The storage host answers so (docs/acs-contract.md#storage-host); a part that isn't the whole is refused."""
    binary = {"Content-Type": "application/octet-stream"}
    origin.replies(
        (206, b'{"a":1}', binary | {"Content-Range": "bytes 0-6/7"}),
        (200, b'{"a":1}', binary | {"Content-Range": "bytes 0-6/7"}),
        (206, b"{}", binary | {"Content-Range": "bytes 0-1/7"}),
        (206, b"{}", binary),
    )

    assert [b'{"a":1}'] * 2 == [await content.metadata(JOB) for _ in range(2)]
    for problem in ("2 bytes, 7 were declared", "without a valid Content-Range"):
        with pytest.raises(SourceDamaged, match=problem):
            await content.metadata(JOB)


async def test_metadata_that_is_too_large(origin: Origin) -> None:
    """A metadata file is kept in memory, so there is a limit to it."""
    content = Content(Resource(origin.url, KEY), largest_metadata=1_000)
    origin.replies((200, b"{" + b" " * 998 + b"}", {}), (200, b"{" + b" " * 999 + b"}", {}))

    assert len(await content.metadata(JOB)) == 1_000
    with pytest.raises(SourceDamaged, match="more than 1000 bytes"):
        await content.metadata(JOB)
    await content.aclose()


@pytest.mark.parametrize(
    ("label", "noted"), [("video/mp4", "video/mp4"), ("Text/HTML; a=b", "text/html"), ("<b>", "no content type")]
)
async def test_an_answer_without_bytes_is_noted_by_its_type(
    content: Content, origin: Origin, label: str, noted: str
) -> None:
    """A 200 with nothing is not a chunk; of the label no more is shown than a content type."""
    origin.replies((200, b"", {"Content-Type": label}))

    with pytest.raises(SourceDamaged, match=re.escape(f"the source answered with no bytes ({noted})")):
        await content.probe(JOB)


@pytest.mark.parametrize("label", ["text/html", "application/xml", ""])
async def test_a_label_refuses_no_metadata_file(content: Content, origin: Origin, label: str) -> None:
    """An object of JSON is what a metadata file is."""
    origin.replies((200, b'{"callId": "x"}', {"Content-Type": label}))

    assert b'{"callId": "x"}' == await content.metadata(JOB)


@pytest.mark.parametrize("label", ["text/html", "application/json", "application/xml; charset=utf-8", "text/plain"])
@pytest.mark.parametrize(
    ("kind", "body"), [("mp4", mp4(500)), ("wav", wav(100)), ("mp3", mp3(9)), (None, b"<\0\1" * 500)]
)
async def test_a_label_refuses_no_media(
    content: Content, origin: Origin, kind: str | None, body: bytes, label: str
) -> None:
    """Bytes outrank labels."""
    origin.replies((200, body, {"Content-Type": label}))

    assert (kind, len(body)) == ((found := await content.probe(JOB)).kind, found.size)


@pytest.mark.parametrize("body", [b"Not now, try again later", b"\0" * 5_000])
async def test_bytes_that_are_nothing_known(content: Content, origin: Origin, body: bytes) -> None:
    """They are reported as such, whatever the type says; `ingest` decides."""
    origin.replies((200, body, {"Content-Type": "video/mp4"}))

    assert (None, len(body)) == ((found := await content.probe(JOB)).kind, found.size)


@pytest.mark.parametrize(
    ("body", "kind"), [(b"", "application/json"), (b"<html></html>", "text/html"), (b"<html>", "application/json")]
)
async def test_an_answer_that_is_no_metadata(content: Content, origin: Origin, body: bytes, kind: str) -> None:
    """A 200 with nothing, or with a page, is no metadata file."""
    origin.replies((200, body, {"Content-Type": kind}))

    with pytest.raises(SourceDamaged):
        await content.metadata(JOB)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_compressed_answer(content: Content, origin: Origin, encoding: str) -> None:
    """Compressed bytes are not the document's: they are refused, never stored."""
    origin.replies((200, MEDIA, {**VIDEO, "Content-Encoding": encoding}))

    with pytest.raises(SourceDamaged, match="compressed"):
        await content.probe(JOB)
    with pytest.raises(SourceDamaged, match="compressed"):
        await content.metadata(JOB)


async def test_a_server_that_compresses_when_it_may(content: Content, origin: Origin) -> None:
    """A server that would compress is asked not to, and doesn't."""

    async def compress(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=b"{" + b" " * 5_000 + b"}", content_type="application/json")
        response.enable_compression()
        return response

    origin.answer = compress

    assert b"{" + b" " * 5_000 + b"}" == await content.metadata(JOB)


async def chunked(request: web.Request) -> web.StreamResponse:
    """Serve MEDIA without its length, as a server does that makes it while it sends it."""
    response = web.StreamResponse(headers=VIDEO)
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(MEDIA)
    return response


async def unmeasured_ranges(request: web.Request) -> web.StreamResponse:
    """Serve ranges of MEDIA without its length, or all of it."""
    if "Range" not in request.headers:
        return await chunked(request)
    span = request.http_range
    first, last = span.start or 0, min(span.stop or len(MEDIA), len(MEDIA))
    part = {"Content-Range": f"bytes {first}-{last - 1}/*"}
    return web.Response(status=206, body=MEDIA[first:last], headers={**VIDEO, **part})


@pytest.mark.parametrize("answer", [chunked, unmeasured_ranges])
async def test_a_document_without_a_declared_length_is_measured(
    content: Content, origin: Origin, answer: Answer
) -> None:
    """The end of a chunked body is marked: what came before is all of it."""
    origin.answer = answer
    with pytest.raises(SourceUnmeasured):
        await content.probe(JOB)

    size = await content.measure(JOB)

    assert len(MEDIA) == size
    async with content.open(JOB, first=5_000, size=size) as opened:
        assert MEDIA[: opened.length] == b"".join([piece async for piece in opened.body])
        assert MEDIA[900:1_000] == await content.read(JOB, opened.probe, offset=900, length=100)


@pytest.mark.parametrize(("size", "problem"), [(len(MEDIA) - 1, "goes on"), (len(MEDIA) + 1, "ended 1 bytes before")])
async def test_a_document_that_is_not_as_long_as_it_was_measured_is_refused(
    content: Content, origin: Origin, size: int, problem: str
) -> None:
    """It has changed, and so the first bytes are not all of any version."""
    origin.answer = chunked

    with pytest.raises(SourceDamaged, match=problem):
        async with content.open(JOB, first=size, size=size) as opened:
            assert [piece async for piece in opened.body]


async def test_a_chunked_body_that_breaks_off_is_not_measured(content: Content, origin: Origin) -> None:
    """Its end is missing: it may have been longer."""

    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=VIDEO)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(MEDIA)
        assert request.transport is not None
        request.transport.close()
        return response

    origin.answer = broken

    with pytest.raises(SourceUnavailable, match="broke off"):
        await content.measure(JOB)


def ending_with_connection(body: bytes) -> Answer:
    """Answer as HTTP/1.0 does: nothing but the end of the connection says where the body ends."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)
        request.transport.close()
        return web.Response()

    return answer


async def test_a_body_that_ends_with_its_connection_is_refused(content: Content, origin: Origin) -> None:
    """Neither a length nor a mark shows whether it is all of the document."""

    origin.answer = ending_with_connection(MEDIA)

    for step in (content.probe, content.measure):
        with pytest.raises(SourceDamaged, match="no valid Content-Length"):
            await step(JOB)


@pytest.mark.parametrize("span", ["", "bytes */100", "items 0-15/100", "0-15/100"])
async def test_a_range_that_says_nothing(content: Content, origin: Origin, span: str) -> None:
    """A 206 must say which part it is."""
    origin.replies((206, MEDIA[:16], {**VIDEO, "Content-Range": span}))

    with pytest.raises(SourceDamaged, match="Content-Range"):
        await content.probe(JOB)


@pytest.mark.parametrize("body", [b"not JSON", b"\xff\xfe\x00", b"[]", b"null", b'{"a":'])
async def test_what_is_no_json_object_is_no_metadata_file(content: Content, origin: Origin, body: bytes) -> None:
    """It is asked for again: the first bytes that are kept would be the last."""
    origin.replies((200, body, {"Content-Type": "application/json"}))

    with pytest.raises(SourceDamaged, match="isn't a JSON object"):
        await content.metadata(JOB)


UNREADABLE = [
    *(b"{,}", b"{" + b"[" * 99_000 + b"}", b'{"callId": "Andr\xe9"}', b'{"chunkDuration": ' + b"9" * 5000 + b"}"),
    *(b'{"a": "}', b'{"callId": "x",}', b'{"callId": "x"}\n{"callId": "y"}'),
]


@pytest.mark.parametrize("body", UNREADABLE)
async def test_a_metadata_file_that_cannot_be_read_is_kept(content: Content, origin: Origin, body: bytes) -> None:
    """It came as a whole, and has what an object begins and ends with; unless nothing tells whether it was cut."""
    origin.replies((200, body, {"Content-Type": "application/json"}))
    assert body == await content.metadata(JOB)

    origin.answer = ending_with_connection(body)

    with pytest.raises(SourceDamaged, match="without a length that isn't JSON"):
        await content.metadata(JOB)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-be", "utf-8-sig"])
async def test_a_metadata_file_may_have_any_encoding_of_unicode(
    content: Content, origin: Origin, encoding: str
) -> None:
    """JSON says which."""
    body = '{"callId": "x"}'.encode(encoding)
    origin.replies((200, body, {"Content-Type": "application/json"}))

    assert body == await content.metadata(JOB)


@pytest.mark.parametrize("tail", [b"", b'"chunkIndex": 0'])
async def test_a_large_metadata_file_that_was_cut_off_is_none(content: Content, origin: Origin, tail: bytes) -> None:
    """It is not parsed, but it doesn't end where an object ends."""
    origin.replies((200, b"{" + b" " * 300_000 + tail, {"Content-Type": "application/json"}))

    with pytest.raises(SourceDamaged, match="isn't a JSON object"):
        await content.metadata(JOB)


@pytest.mark.parametrize(
    "body", [b'{"error": {"code": "x"}}', b' {"code": "500", "message": "x"}', b"\xef\xbb\xbf<html>"]
)
async def test_an_error_is_no_metadata_file(content: Content, origin: Origin, body: bytes) -> None:
    """Whatever its type is said to be, it is asked for again."""
    origin.replies((200, body, {"Content-Type": "application/octet-stream"}))

    with pytest.raises(SourceDamaged, match=r"sent (an error|a page)"):
        await content.metadata(JOB)


@pytest.mark.parametrize(
    "body", [b'{"callId": "x", "error": null}', b'{"ChunkIndex": 0, "error": {"code": "x"}, "code": 1, "message": ""}']
)
async def test_a_metadata_file_may_have_a_member_that_errors_have(
    content: Content, origin: Origin, body: bytes
) -> None:
    """What has a member of a metadata file is one, whatever the service adds to it."""
    origin.replies((200, body, {"Content-Type": "application/json"}))

    assert body == await content.metadata(JOB)


async def test_a_metadata_file_of_16_mb_takes_little_more_than_its_size(content: Content, origin: Origin) -> None:
    """Of millions of empty objects none is built: the largest that is kept is not parsed."""
    body = b'{"a": [' + b"{}," * 5_000_000 + b"{}]}"
    origin.replies((200, body, {"Content-Type": "application/json"}))

    tracemalloc.start()
    kept = await content.metadata(JOB)
    read = payload.read_metadata_file(kept)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (body, {"said": "{}"}) == (kept, read)
    assert peak < 2 * len(body)
