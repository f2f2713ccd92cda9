"""recording/acs/addresses.py: which addresses are those of the announced document."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from recording.acs import addresses
from recording.acs.addresses import Use
from recording.acs.content import Content
from recording.config.resource import Resource
from recording.errors import SourceGone, SourceRefused
from tests.acs.media import DOCUMENT, JOB, MEDIA, VERSION, ranged
from tests.support.origin import KEY, Origin

OTHER = "0-eus-d12-00000000000000000000000000000000"
HOST = "https://storage.asm.skype.com"
OBJECT = f"{HOST}/v1/objects/{DOCUMENT}"
DOWNLOAD = f"https://contoso.communication.azure.com/recording/download/{DOCUMENT}"
NAMED = {"contoso.communication.azure.com", "127.0.0.1:9001", "[::1]:9002"}

ADDRESSES: list[tuple[Use, str]] = [
    ("content", f"{OBJECT}/content/video"),
    ("content", f"{OBJECT}/content/audiomp3"),
    ("content", f"{OBJECT}/content/any.view-of_it~2"),
    ("content", f"{OBJECT}/content/video?sig=a%2Bbc%3D"),
    ("content", f"{OBJECT}/content/video?of={DOCUMENT}"),
    ("content", f"http://127.0.0.1:9001/v1/objects/{DOCUMENT}/content/video"),
    ("content", f"http://[::1]:9002/v1/objects/{DOCUMENT}/content/video"),
    ("content", f"{DOWNLOAD}{VERSION}"),
    ("metadata", f"{OBJECT}/content/acsmetadata"),
    ("metadata", f"{DOWNLOAD}/metadata{VERSION}"),
    ("deletion", OBJECT),
    ("deletion", f"{OBJECT}/content/deletedata"),
]

REFUSED: list[tuple[Use, str]] = [
    # Another document, directly and by every way that leads out of a path.
    ("content", f"{HOST}/v1/objects/{OTHER}/content/video"),
    ("content", f"{HOST}/v1/objects/{OTHER}/content/video?of={DOCUMENT}"),
    ("content", f"{HOST}/v1/objects/{OTHER}/content/{DOCUMENT}"),
    ("content", f"{OBJECT}/../{OTHER}/content/video"),
    ("content", f"{OBJECT}/%2e%2e/{OTHER}/content/video"),
    ("content", f"{OBJECT}/.%2E/{OTHER}/content/video"),
    ("content", f"{OBJECT}/%252e%252e/{OTHER}/content/video"),
    ("content", f"{HOST}/v1/objects/{OTHER}/../{DOCUMENT}/content/video"),
    ("content", f"{OBJECT}/./content/video"),
    ("content", f"{OBJECT}/content/.."),
    ("content", f"{OBJECT}/content/%2e"),
    ("content", f"{OBJECT}/content/..."),
    ("content", f"{OBJECT}/content/%2F..%2F..%2F{OTHER}"),
    ("content", f"{OBJECT}%2Fcontent/video"),
    ("content", f"{OBJECT}/content/a%2Fb"),
    ("content", f"{OBJECT}/content/a%5Cb"),
    ("content", f"{OBJECT}/content/a%255Cb"),
    ("content", f"{OBJECT}/content/..\\{OTHER}"),
    ("content", f"{OBJECT}/content/video;v={OTHER}"),
    ("content", f"{OBJECT};x/content/video"),
    ("content", f"{OBJECT}/content/video#/{OTHER}"),
    ("content", f"{OBJECT}/content/video#"),
    ("content", f"{OBJECT}/content//video"),
    ("content", f"{OBJECT}//content/video"),
    ("content", f"{HOST}//v1/objects/{DOCUMENT}/content/video"),
    ("content", f"{OBJECT}/content/video/"),
    ("content", f"{OBJECT}/content/"),
    ("content", f"{OBJECT}/content"),
    ("content", OBJECT),
    ("content", f"{OBJECT}/content/vid\teo"),
    ("content", f"{OBJECT}/content/video\n"),
    ("content", f"{OBJECT}/content/video%0a"),
    ("content", f"{OBJECT}/content/video%00"),
    ("content", f"{OBJECT}/content/vidéo"),
    ("content", f"{OBJECT}/content/vid eo"),
    ("content", f"{OBJECT}/content/%76%69deo%"),
    ("content", f"{OBJECT}0/content/video"),
    ("content", f"{OBJECT[:-1]}/content/video"),
    ("content", f"{HOST}/v1/objects/{DOCUMENT.upper()}/content/video"),
    ("content", f"https://user@storage.asm.skype.com/v1/objects/{DOCUMENT}/content/video"),
    # Another path, another kind of file, or another meaning.
    ("content", f"{HOST}/{DOCUMENT}"),
    ("content", f"{HOST}/v2/objects/{DOCUMENT}/content/video"),
    ("content", f"{HOST}/calling/recordings/{DOCUMENT}"),
    ("content", f"{OBJECT}/content/acsmetadata"),
    ("content", f"{OBJECT}/content/%61csmetadata"),
    ("content", f"{DOWNLOAD}/metadata{VERSION}"),
    ("content", f"{OBJECT}/content/video?documentId={OTHER}"),
    ("content", f"{OBJECT}/content/video?x={quote(quote(OTHER.replace('-', '%2D')))}"),
    ("content", f"{OBJECT}/content/video?path=..%2Fvideo"),
    ("content", f"{OBJECT}/content/video?x=https%3A%2F%2Fevil.example"),
    ("content", f"{OBJECT}/content/video?x=%0d%0a"),
    ("content", f"{OBJECT}/content/video?%{'25' * 9}41"),
    ("metadata", f"{HOST}/v1/objects/{OTHER}/content/acsmetadata"),
    ("metadata", f"{HOST}/other/{DOCUMENT}"),
    ("metadata", OBJECT),
    ("metadata", f"{DOWNLOAD}{VERSION}"),
    ("deletion", f"{HOST}/v1/objects/{OTHER}"),
    ("deletion", f"{OBJECT}/"),
    ("deletion", f"{OBJECT}/content/video"),
    ("deletion", f"{OBJECT}?x=1"),
    ("deletion", f"{OBJECT}/../{OTHER}"),
    ("deletion", f"{HOST}/v1/objects/{OTHER}?{DOCUMENT}"),
    ("deletion", f"{DOWNLOAD}{VERSION}"),
]


@pytest.mark.parametrize(("use", "url"), ADDRESSES)
def test_a_view_of_the_announced_document_is_its_address(use: Use, url: str) -> None:
    """In both documented forms, and as it stands; whatever the view is called."""
    assert url == addresses.require(url, DOCUMENT, use, NAMED)


def test_what_is_needlessly_encoded_is_requested_as_it_was_checked() -> None:
    """There is one way to write an address of unreserved characters."""
    url = f"https://STORAGE.asm.skype.com:443/v1/obj%65cts/{DOCUMENT.replace('-', '%2D')}/content/%76ideo"

    assert f"{OBJECT}/content/video" == addresses.require(url, DOCUMENT, "content", NAMED)


@pytest.mark.parametrize(("use", "url"), REFUSED)
def test_any_other_address_is_refused(use: Use, url: str) -> None:
    """The reason names nothing of the address but its host."""
    with pytest.raises(SourceRefused) as refused:
        addresses.require(url, DOCUMENT, use, NAMED)

    assert not any(part in refused.value.message for part in (OTHER, DOCUMENT, "/v1/", "?"))


@pytest.mark.parametrize(
    "location",
    [f"../../../{DOCUMENT}/content/video", f"/x/../v1/objects/{DOCUMENT}/content/video", "%2e%2e/x", ".%252e/x", "."],
)
def test_a_redirect_is_not_made_right_by_resolving_it(location: str) -> None:
    """Dot segments are refused before they are resolved."""
    with pytest.raises(SourceRefused, match="dot segments"):
        addresses.redirected(f"{OBJECT}/content/video", location, "content")


NAMES = ("contoso.communication.azure.com", "127.0.0.1", "::1")
PIECES = st.sampled_from(
    [
        *("v1", "objects", "content", "video", "acsmetadata", "recording", "download", "metadata", DOCUMENT, OTHER),
        *("..", ".", "%2e", "%2E%2e", "%252e", "%2f", "%252F", "%5c", "\\", "//", ";", "#", "?", "&", "=", "@", ":"),
        *("%", "%25", "%00", "\n", "\t", " ", "é", "%C3%A9", "+", "api-version=1", "a"),
    ]
)
PATHS = st.lists(st.lists(PIECES, max_size=3).map("".join), max_size=9).map("/".join)


@st.composite
def near(draw: st.DrawFn) -> str:
    """An address of the document with something put in at any place."""
    url = draw(st.sampled_from([url for _, url in ADDRESSES]))
    at = draw(st.integers(len("https://storage"), len(url)))
    return url[:at] + draw(PIECES | st.text(max_size=3)) + url[at:]


@given(
    url=near() | PATHS.map(lambda path: f"{HOST}/{path}") | st.text().map(lambda text: f"{OBJECT}/{text}"),
    use=st.sampled_from(["content", "metadata", "deletion"]),
)
@example(url=f"{OBJECT}/content/video", use="content")
# A name, and no dot segment.
@example(url=f"{OBJECT}/content/%2E%2Evideo", use="content")
def test_whatever_is_accepted_is_sent_as_an_address_of_the_announced_document(url: str, use: Use) -> None:
    """What the HTTP client makes of the URL names the announced document, and no other."""
    try:
        accepted = addresses.require(url, DOCUMENT, use, NAMED)
    except SourceRefused:
        return

    # As aiohttp reads the text that it is given.
    sent = URL(accepted)
    path, query = sent.raw_path, sent.raw_query_string
    assert accepted == str(sent) == str(URL(str(sent)))
    assert path.split("/").count(DOCUMENT) == 1
    assert path in {URL(address).raw_path for _, address in ADDRESSES} or (
        use != "deletion" and path.rpartition("/")[0] == f"/v1/objects/{DOCUMENT}/content"
    )
    assert not any(sign in path for sign in ("%", "//", ";", "\\"))
    assert not {".", ".."} & set(path.split("/"))
    assert OTHER not in URL(accepted).path_qs + query
    assert sent.host in NAMES or str(sent.host).endswith(".asm.skype.com")
    assert not any((sent.fragment, sent.user, sent.password))


@pytest_asyncio.fixture
async def preview(origin: Origin, elsewhere: Origin) -> AsyncIterator[Content]:
    """The client for the 2021 preview API; bytes may also come from elsewhere."""
    client = Content(Resource(origin.url, KEY), extra_hosts=[elsewhere.authority], fetches_by_id=True)
    yield client
    await client.aclose()


@pytest.mark.parametrize("host", ["{elsewhere}", "https://evil.example"])
async def test_where_an_address_is_refused_and_the_api_can_fetch_by_id_it_is_fetched_by_id(
    preview: Content, origin: Origin, elsewhere: Origin, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All of it, with the reason in the log; nothing is sent to the address that was refused."""
    origin.answer = ranged
    wrong = f"{host.format(elsewhere=elsewhere.url)}/v1/objects/{OTHER}/content/video"
    job = JOB.model_copy(update={"content_location": wrong, "metadata_location": wrong})

    probe = await preview.probe(job)
    assert MEDIA == await preview.read(job, probe, offset=0, length=len(MEDIA))
    origin.replies((200, b"{}", {}))
    assert b"{}" == await preview.metadata(job)

    assert [] == elsewhere.received
    download = f"/recording/download/{DOCUMENT}"
    assert [f"{download}{VERSION}"] * 2 + [f"{download}/metadata{VERSION}"] == [sent.target for sent in origin.received]
    assert 2 == caplog.text.count("source.address_refused")
    assert OTHER not in caplog.text


async def test_a_redirect_to_another_document_is_replaced_by_its_id_as_well(
    preview: Content, origin: Origin, elsewhere: Origin
) -> None:
    """The address was right, but it leads astray."""
    origin.answer = ranged
    elsewhere.replies((302, b"", {"Location": f"/v1/objects/{OTHER}/content/video"}))
    job = JOB.model_copy(update={"content_location": f"{elsewhere.url}/v1/objects/{DOCUMENT}/content/video"})

    assert (len(MEDIA), True) == ((found := await preview.probe(job)).size, found.by_id)
    assert (1, 1) == (len(elsewhere.received), len(origin.received))


async def test_a_document_that_is_gone_says_why_it_was_fetched_by_its_id(preview: Content, origin: Origin) -> None:
    """Both reasons are on record."""
    origin.replies((404, b"", {}))

    with pytest.raises(SourceGone, match=r"no such document.*'evil\.example' is not allowed"):
        await preview.probe(JOB.model_copy(update={"content_location": "https://evil.example/x"}))


@pytest.mark.parametrize("use", ["content", "metadata", "deletion"])
async def test_every_hop_must_be_an_address_of_the_document(origin: Origin, elsewhere: Origin, use: Use) -> None:
    """A redirect to another document, or by dot segments, is refused before anything is sent there."""
    client = Content(Resource(origin.url, KEY), extra_hosts=[elsewhere.authority])
    job = JOB.model_copy(
        update={
            "content_location": f"{origin.url}/v1/objects/{DOCUMENT}/content/video",
            "metadata_location": f"{origin.url}/v1/objects/{DOCUMENT}/content/acsmetadata",
        }
    )

    async def ask() -> None:
        if use == "deletion":
            await client.delete(f"{origin.url}/v1/objects/{DOCUMENT}", DOCUMENT)
        await (client.probe(job) if use == "content" else client.metadata(job))

    for path in (f"/v1/objects/{OTHER}", f"/v1/objects/{OTHER}/content/video", f"/v1/objects/{DOCUMENT}/../{OTHER}"):
        origin.replies((302, b"", {"Location": elsewhere.url + path}))
        with pytest.raises(SourceRefused):
            await ask()
    await client.aclose()

    assert (3, []) == (len(origin.received), elsewhere.received)


async def test_what_is_received_is_what_was_accepted(origin: Origin, elsewhere: Origin) -> None:
    """Nothing between the check and the wire changes the address, and the signature is that of what arrived."""
    client = Content(Resource(origin.url, KEY), extra_hosts=[elsewhere.authority])

    async def answer(request: web.Request) -> web.StreamResponse:
        return await ranged(request)

    elsewhere.answer = answer
    for view in ("video", "%76ideo", "a~b", "a%7Eb", "video?sig=a%2Bb%2fc%3D", "video?q=%7E&r=a+b"):
        location = f"{elsewhere.url}/v1/objects/{DOCUMENT}/content/{view}"
        accepted = addresses.require(location, DOCUMENT, "content", {elsewhere.authority})
        await client.probe(JOB.model_copy(update={"content_location": location}))
        assert accepted == elsewhere.url + elsewhere.received[-1].target
        assert elsewhere.received[-1].is_signed(host=origin.authority)
    await client.aclose()
