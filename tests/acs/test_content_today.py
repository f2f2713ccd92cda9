"""recording/acs/content.py: fetches files from the storage host of Call Automation by location, and deletes them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from recording.acs.content import Content
from recording.config.resource import Resource
from recording.errors import SourceRefused, SourceUnavailable
from tests.acs.media import DOCUMENT, JOB, MEDIA, PROBE, VERSION, ranged
from tests.support.origin import KEY, Origin

OBJECT = f"/v1/objects/{DOCUMENT}"


@pytest_asyncio.fixture
async def content(origin: Origin, elsewhere: Origin) -> AsyncIterator[Content]:
    """The client; the storage host is elsewhere."""
    client = Content(Resource(origin.url, KEY), extra_hosts=[elsewhere.authority])
    yield client
    await client.aclose()


async def test_locations_are_taken_as_they_are(content: Content, origin: Origin, elsewhere: Origin) -> None:
    """The names of the service's views aren't all known: no address is built (docs/acs-contract.md#storage-host)."""
    job = JOB.model_copy(
        update={
            "content_location": f"{elsewhere.url}{OBJECT}/content/any~view?a=%2B",
            "metadata_location": f"{elsewhere.url}{OBJECT}/content/other",
        }
    )
    elsewhere.answer = ranged
    await content.probe(job)
    assert MEDIA[:9] == await content.read(job, PROBE, offset=0, length=9)
    elsewhere.replies((206, b"{}", {"Content-Range": "bytes 0-1/2", "Content-Type": "application/octet-stream"}))
    await content.metadata(job)

    assert ([], 3) == (origin.received, len(elsewhere.received))
    assert [f"{OBJECT}/content/any~view?a=%2B"] * 2 + [f"{OBJECT}/content/other"] == [
        r.target for r in elsewhere.received
    ]
    assert all(sent.is_signed(host=origin.authority) for sent in elsewhere.received)
    assert {origin.authority} == {sent.headers["x-ms-host"] for sent in elsewhere.received}
    assert ["bytes=0-1023", "bytes=0-8", None] == [sent.headers.get("Range") for sent in elsewhere.received]


async def test_one_location_may_be_missing(content: Content, origin: Origin, elsewhere: Origin) -> None:
    """What the event doesn't place is asked for as in 2021 (docs/acs-contract.md#2021-download)."""
    job = JOB.model_copy(update={"content_location": f"{elsewhere.url}{OBJECT}/content/video"})
    origin.replies((200, b"{}", {}))
    elsewhere.answer = ranged

    await content.probe(job)
    await content.metadata(job)

    assert [f"/recording/download/{DOCUMENT}/metadata{VERSION}"] == [sent.target for sent in origin.received]


async def test_a_location_elsewhere_is_refused(content: Content) -> None:
    """An event can't send the app's credentials anywhere it likes, and its address isn't repeated."""
    job = JOB.model_copy(update={"content_location": "https://evil.example/x?token=s3cret"})

    with pytest.raises(SourceRefused, match=r"evil\.example") as refused:
        await content.probe(job)

    assert "s3cret" not in refused.value.message


@pytest.mark.parametrize("status", [200, 202, 204, 404, 410])
async def test_a_deletion(content: Content, origin: Origin, elsewhere: Origin, status: int) -> None:
    """It is signed with the ACS host, has no body, and what is gone is as good as deleted."""
    elsewhere.replies((status, b"", {}))

    await content.delete(elsewhere.url + OBJECT, DOCUMENT)

    [sent] = elsewhere.received
    assert ("DELETE", OBJECT, b"", origin.authority) == (sent.method, sent.target, sent.body, sent.headers["x-ms-host"])
    assert sent.is_signed(host=origin.authority)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 503])
async def test_a_deletion_that_is_refused(content: Content, elsewhere: Origin, status: int) -> None:
    """Any other answer means that the document is still there."""
    elsewhere.replies((status, b"<html>", {"Retry-After": "3600"}))

    with pytest.raises(SourceUnavailable, match=str(status)):
        await content.delete(elsewhere.url + OBJECT, DOCUMENT)


async def test_a_deletion_is_tried_again_when_the_host_is_busy(content: Content, elsewhere: Origin) -> None:
    """The second answer counts."""
    elsewhere.replies((503, b"", {}), (200, b"", {}))

    await content.delete(elsewhere.url + OBJECT, DOCUMENT)

    assert 2 == len(elsewhere.received)


async def test_a_deletion_follows_the_service_to_the_region(
    content: Content, origin: Origin, elsewhere: Origin
) -> None:
    """Each hop is signed again, and remains a deletion."""
    origin.replies((302, b"", {"Location": f"{elsewhere.url}{OBJECT}"}))
    elsewhere.replies((200, b"", {}))

    await content.delete(origin.url + OBJECT, DOCUMENT)

    [first], [second] = origin.received, elsewhere.received
    assert ["DELETE"] * 2 == [first.method, second.method]
    assert first.is_signed(host=origin.authority)
    assert second.is_signed(host=origin.authority)


@pytest.mark.parametrize("location", ["https://evil.example/x?token=s3cret", "http://storage.asm.skype.com/x", "", "x"])
async def test_nothing_is_deleted_elsewhere(content: Content, origin: Origin, location: str) -> None:
    """Neither at once nor behind a redirect."""
    with pytest.raises(SourceRefused) as at_once:
        await content.delete(location, DOCUMENT)
    origin.replies((302, b"", {"Location": location or "https://evil.example/"}))
    with pytest.raises(SourceRefused) as behind:
        await content.delete(origin.url + OBJECT, DOCUMENT)

    assert "s3cret" not in at_once.value.message + behind.value.message


async def test_a_part_of_a_document_that_moved(content: Content, origin: Origin, elsewhere: Origin) -> None:
    """The range goes with it to the region."""

    async def move(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": elsewhere.url + request.raw_path})

    origin.answer, elsewhere.answer = move, ranged
    job = JOB.model_copy(update={"content_location": f"{origin.url}{OBJECT}/content/video"})

    assert MEDIA[100:150] == await content.read(job, PROBE, offset=100, length=50)
    assert "bytes=100-149" == elsewhere.received[0].headers["Range"]
