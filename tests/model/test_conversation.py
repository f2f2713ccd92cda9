"""recording/model/conversation.py: conversation ids, and the mistakes that people make with them."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.errors import BadRequest
from recording.model import conversation
from recording.model.conversation import Locator

# The pair that the 2021 documentation shows (docs/acs-contract.md#2021-conversation-id).
URL = "https://conv-ussc-02.conv.skype.com/conv/vDSZq1rLB0uZ-3GPv0ZmJg?i=8&e=637557437885831811"
ID = (
    "aHR0cHM6Ly9jb252LXVzc2MtMDIuY29udi5za3lwZS5jb20vY29udi92RFNa"
    "cTFyTEIwdVotM0dQdjBabUpnP2k9OCZlPTYzNzU1NzQzNzg4NTgzMTgxMQ"
)
GROUP = "29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2"
# Its Base64 has both letters that Base64Url hasn't, and padding.
AWKWARD = "https://conv.test/?>>>~~~???éé"
FIX = "; send the unpadded base64url of the conversation URL, or POST /recordings with conversationUrl"
CLASSIC = "is Base64, not Base64Url: write - for +, _ for /, and omit the = padding"
NEITHER = "is neither the Base64Url of a conversation URL nor a group call's GUID"
NOT_HTTPS = "decodes to something that is not an https URL"


def base64_of(text: str) -> str:
    """Encode as `btoa` does."""
    return base64.b64encode(text.encode()).decode()


def base64url_of(content: bytes) -> str:
    """Encode as it should be, whatever is in it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_the_documented_pair() -> None:
    """The documentation's URL gives the documentation's id."""
    assert ID == conversation.encode_url(URL)


@pytest.mark.parametrize("good", [ID, GROUP, GROUP.upper(), conversation.encode_url(AWKWARD)])
def test_good_ids_are_handed_on_as_they_are(good: str) -> None:
    """An id that the service accepts isn't changed."""
    assert good == conversation.require_2021_id(good)


def test_what_makes_the_awkward_url_awkward() -> None:
    """The URL of the tests below does lead to every letter that goes wrong."""
    assert {"+", "/", "="} <= set(base64_of(AWKWARD))


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("a" * 5_000, "is longer than 4096 characters", id="5000"),
        pytest.param(base64_of(AWKWARD), CLASSIC, id="base64"),
        pytest.param(quote(base64_of(AWKWARD), safe=""), CLASSIC, id="base64-percent-encoded"),
        pytest.param(conversation.encode_url(AWKWARD) + "==", CLASSIC, id="padded"),
        pytest.param(ID + "==", CLASSIC, id="padded-2"),
        pytest.param(ID + "%3D%3D", CLASSIC, id="padded-percent-encoded"),
        pytest.param(URL, NEITHER, id="the-url-itself"),
        pytest.param(quote(URL, safe=""), NEITHER, id="the-url-percent-encoded"),
        pytest.param("..", NEITHER, id="dots"),
        pytest.param("%2e%2e", NEITHER, id="dots-percent-encoded"),
        pytest.param("a/../b", NEITHER, id="path"),
        pytest.param("=", NEITHER, id="only-padding"),
        pytest.param(" ", NEITHER, id="blank"),
        pytest.param(ID + "\n", NEITHER, id="line-break"),
        pytest.param("ü", NEITHER, id="umlaut"),
        pytest.param("aaaaa", NEITHER, id="impossible-length"),
        pytest.param(base64url_of(b"\xff\xfe\xfd"), NEITHER, id="not-utf-8"),
        pytest.param(f"{{{GROUP}}}", NEITHER, id="guid-in-braces"),
        pytest.param(GROUP + "\n", NEITHER, id="guid-line-break"),
        pytest.param(base64url_of(b"http://conv.test/conv/x"), NOT_HTTPS, id="http"),
        pytest.param(base64url_of(b"conv.test/conv/x"), NOT_HTTPS, id="no-scheme"),
        pytest.param(base64url_of(b"https:///conv/x"), NOT_HTTPS, id="no-host"),
        pytest.param(base64url_of(b"https://conv.test/a b"), NOT_HTTPS, id="blank-in-url"),
        pytest.param(base64url_of(b"https://conv.test/\r\nX: y"), NOT_HTTPS, id="line-break-in-url"),
        pytest.param(base64url_of(b"https://[::1/x"), NOT_HTTPS, id="half-an-address"),
        pytest.param(base64url_of(b"\0"), NOT_HTTPS, id="zero"),
        pytest.param(GROUP.replace("-", ""), NEITHER, id="guid-without-dashes"),
    ],
)
def test_mistakes_are_named(wrong: str, what: str) -> None:
    """What is wrong with an id is said, with the way to fix it."""
    with pytest.raises(BadRequest) as refused:
        conversation.require_2021_id(wrong)

    assert (f"the conversation id {what}{FIX}", "conversationId") == (refused.value.message, refused.value.target)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "conv.test",
        "/conv/x",
        "http://conv.test/x",
        "https://",
        "https:///x",
        "ftp://x/y",
        "javascript:alert(1)",
        "https://conv.test/a b",
        " https://conv.test",
        "https://conv.test/\n",
        "https://[::1",
        "https://conv.test/\ud800",
    ],
)
def test_urls_that_are_none(wrong: str) -> None:
    """Only an absolute https URL is encoded."""
    with pytest.raises(BadRequest) as refused:
        conversation.encode_url(wrong)

    expected = ("conversationUrl must be an absolute https URL", "conversationUrl")
    assert expected == (refused.value.message, refused.value.target)


def test_a_url_that_is_too_long() -> None:
    """A URL whose id the service wouldn't take is refused here."""
    with pytest.raises(BadRequest, match="too long"):
        conversation.encode_url("https://conv.test/" + "a" * 4_096)


@pytest.mark.parametrize(
    ("text", "expected"), [(GROUP, True), (GROUP.upper(), True), (ID, False), (GROUP + "a", False), ("", False)]
)
def test_group_ids(text: str, *, expected: bool) -> None:
    """A group call's GUID is distinguished from a conversation URL's id."""
    assert expected == conversation.is_group_id(text)


@given(st.text(max_size=200))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    """Whatever the path contains, it is an id or a BadRequest."""
    try:
        assert text == conversation.require_2021_id(text)
    except BadRequest as bad:
        assert bad.target == "conversationId"  # noqa: PT017 - either is right


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=100))
def test_encoded_urls_are_ids(path: str) -> None:
    """What is encoded here is an id, and decodes to the URL again."""
    url = f"https://conv.test/{path}"

    encoded = conversation.require_2021_id(conversation.encode_url(url))

    assert url == base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()


# A live one (docs/acs-contract.md#server-call-id); the documentation shows one without padding.
SERVER_URL = "https://api.flightproxy.skype.com/api/v2/cp/conv-uswe-04-prod-aks.conv.skype.com/conv/ZSPJd2pjtkqyctrHSm_M5w?i=10-128-85-133&e=638853537803496626"
KINDS = (
    "send a server call id or its base64url, the base64url of the conversation URL, a group call's GUID, or "
    "room:{room id}; or POST /recordings with conversationUrl or serverCallId"
)


@pytest.mark.parametrize("url", [URL, SERVER_URL, AWKWARD])
def test_server_call_ids_and_conversation_ids_are_of_one_url(url: str) -> None:
    """Each form of a URL leads to the other, whichever alphabet it is in, and padded or not."""
    server_call_id, conversation_id = base64_of(url), conversation.encode_url(url)

    forms = (
        server_call_id,
        server_call_id.rstrip("="),
        conversation_id,
        conversation_id + "=" * (-len(conversation_id) % 4),
    )
    assert {conversation_id} == {conversation.from_server_call_id(form) for form in forms}
    assert {Locator("server_call_id", server_call_id)} == {conversation.to_locator(form) for form in forms}


@pytest.mark.parametrize(
    ("good", "expected"),
    [
        (GROUP, Locator("group_call_id", GROUP)),
        (GROUP.upper(), Locator("group_call_id", GROUP.upper())),
        ("room:99445276259151407", Locator("room_id", "99445276259151407")),
        (f"room:{GROUP}", Locator("room_id", GROUP)),
    ],
)
def test_other_kinds_of_id(good: str, expected: Locator) -> None:
    """A group call's GUID and a room find their call, too."""
    assert expected == conversation.to_locator(good)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "=",
        "..",
        "nonsense",
        "aaaaa",
        "room:",
        "room: 1",
        "room:a/b",
        "room:../x",
        "Room:1",
        "room:" + "1" * 129,
        GROUP + "\n",
        f"{{{GROUP}}}",
        "8:acs:x_y",
        URL,
        quote(base64_of(AWKWARD), safe=""),
        base64_of(URL) + "===",
        base64_of("http://conv.test/"),
        base64_of("https://conv.test/a b"),
        base64url_of(b"\xff\xfe"),
        base64_of("https://conv.test/" + "a" * 4_096),
        "ü",
    ],
)
def test_ids_of_no_kind(wrong: str) -> None:
    """An id by which the Call Automation API couldn't find a call is refused, with the kinds that it accepts."""
    with pytest.raises(BadRequest) as refused:
        conversation.to_locator(wrong)

    assert (f"the conversation id is not of a supported kind; {KINDS}", "conversationId") == (
        refused.value.message,
        refused.value.target,
    )


@pytest.mark.parametrize("wrong", ["", GROUP, URL, "room:1", base64_of("http://conv.test/"), "aaaaa", "ü"])
def test_server_call_ids_that_are_none(wrong: str) -> None:
    """A call's or a connection's GUID is the classic mistake (docs/acs-contract.md#server-call-id)."""
    with pytest.raises(BadRequest, match="serverCallId must be the base64 of an https URL") as refused:
        conversation.from_server_call_id(wrong)

    assert "serverCallId" == refused.value.target


def test_the_api_of_2021_keeps_its_own_ids() -> None:
    """A padded server call id or a room is refused there, as it has always been."""
    for wrong in (base64_of(AWKWARD), "room:1"):
        with pytest.raises(BadRequest):
            conversation.require_2021_id(wrong)


@given(st.text(max_size=200))
def test_no_text_does_more_than_be_refused_today(text: str) -> None:
    """Whatever the path or the body contains, it is an id or a BadRequest."""
    for read, target in (
        (conversation.to_locator, "conversationId"),
        (conversation.from_server_call_id, "serverCallId"),
    ):
        try:
            read(text)
        except BadRequest as bad:
            assert bad.target == target  # noqa: PT017 - either is right


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=100))
def test_every_url_goes_there_and_back(path: str) -> None:
    """What a server call id becomes in our paths is what the Call Automation API is asked with, letter by letter."""
    server_call_id = base64_of(f"https://conv.test/{path}")

    assert server_call_id == conversation.to_locator(conversation.from_server_call_id(server_call_id)).id
