"""Pure: conversation ids, and common mistakes with them.

The 2021 preview API takes the unpadded base64url of a conversation URL, or a group-call GUID
(docs/acs-contract.md#2021-conversation-id). The Call Automation API takes a server call id, a group
call id or a room id: a server call id is the padded base64 of the same URL (docs/acs-contract.md#server-call-id), so
each form can be converted into the other.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from recording.errors import BadRequest

# Real ids have about 120 characters; the longest URL that the host takes has 8,192 (docs/functions-host.md#http).
LONGEST = 4096
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Room ids are decimal numbers today; letters are accepted, and ACS decides.
_ROOM = re.compile(r"room:([A-Za-z0-9_-]{1,128})")
_TO_BASE64URL = str.maketrans("+/", "-_")
_FIX = "send the unpadded base64url of the conversation URL, or POST /recordings with conversationUrl"
_KINDS = (
    "send a server call id or its base64url, the base64url of the conversation URL, a group call's GUID, or "
    "room:{room id}; or POST /recordings with conversationUrl or serverCallId"
)


@dataclass(frozen=True)
class Locator:
    """How the Call Automation API finds a call: by an `id` of this kind (docs/acs-contract.md#start-request)."""

    kind: Literal["server_call_id", "group_call_id", "room_id"]
    id: str


def encode_url(url: str) -> str:
    """Return the conversation id of a conversation URL.

    Raises BadRequest (target conversationUrl) for anything but an absolute https URL.

    >>> encode_url("https://conv-test/conv/x?i=1&e=2")
    'aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI'
    """
    if not _is_conversation_url(url):
        raise BadRequest("conversationUrl must be an absolute https URL", target="conversationUrl")
    conversation_id = base64.urlsafe_b64encode(url.encode()).rstrip(b"=").decode()
    if len(conversation_id) > LONGEST:
        raise BadRequest("conversationUrl is too long to be one", target="conversationUrl")
    return conversation_id


def from_server_call_id(server_call_id: str) -> str:
    """Return the conversation id, as the app's paths have it, of a server call id.

    A server call id may hold `/`, which a path can't, percent-encoded or not: Azure's front end decodes `%2F`
    before it routes (docs/functions-host.md#http). Padding is optional, and either alphabet is accepted: the
    events in the documentation differ in both.

    Raises BadRequest (target serverCallId) for anything but the base64 of an https URL.

    >>> from_server_call_id("aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI=")
    'aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI'
    """
    url = _url_of(server_call_id)
    if url is None:
        raise BadRequest("serverCallId must be the base64 of an https URL, as events have it", target="serverCallId")
    return encode_url(url)


def to_locator(conversation_id: str) -> Locator:
    """Return how the Call Automation API finds the call of a conversation id.

    Raises BadRequest (target conversationId) that lists the supported kinds of id.
    """
    if is_group_id(conversation_id):
        return Locator("group_call_id", conversation_id)
    if room := _ROOM.fullmatch(conversation_id):
        return Locator("room_id", room[1])
    known = server_call_id(conversation_id)
    if known is None:
        raise BadRequest(f"the conversation id is not of a supported kind; {_KINDS}", target="conversationId")
    return Locator("server_call_id", known)


def server_call_id(conversation_id: str) -> str | None:
    """Return the server call id of a conversation id; None where that doesn't say it: a group call's, a room's.

    >>> server_call_id("aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI")
    'aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI='
    """
    url = _url_of(conversation_id)
    return url and base64.b64encode(url.encode()).decode()


def require_2021_id(conversation_id: str) -> str:
    """Return the id if the 2021 preview API accepts it.

    Raises BadRequest (target conversationId) that says what is wrong and how to fix it.
    """
    if not conversation_id or len(conversation_id) > LONGEST:
        raise _bad("is empty" if not conversation_id else f"is longer than {LONGEST} characters")
    if is_group_id(conversation_id):
        return conversation_id
    url = _decode(conversation_id)
    if url is None and _decode(unquote(conversation_id).translate(_TO_BASE64URL).rstrip("=")):
        raise _bad("is Base64, not Base64Url: write - for +, _ for /, and omit the = padding")
    if url is None:
        raise _bad("is neither the Base64Url of a conversation URL nor a group call's GUID")
    if not _is_conversation_url(url):
        raise _bad("decodes to something that is not an https URL")
    return conversation_id


def is_another(conversation_id: str, known: str) -> bool:
    """Return whether two conversation ids are of different calls, as far as the ids show it.

    Ids of different kinds may name the same call. Of URLs only the part before the query counts.
    """
    if is_group_id(conversation_id) and is_group_id(known):
        return conversation_id.lower() != known.lower()
    mine, other = _url_of(conversation_id), _url_of(known)
    return mine is not None and other is not None and mine.partition("?")[0] != other.partition("?")[0]


def identity(text: str) -> str | None:
    """Return what two ids of one call have in common; None for a text that is no conversation id or server call id.

    >>> identity("aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI=")
    'https://conv-test/conv/x'
    """
    if is_group_id(text):
        return text.lower()
    if _ROOM.fullmatch(text):
        return text
    url = _url_of(text)
    return url and url.partition("?")[0]


def is_group_id(conversation_id: str) -> bool:
    """Return whether the id is a group call's GUID, which a later call may use again."""
    return _GUID.fullmatch(conversation_id) is not None


def _url_of(text: str) -> str | None:
    """Decode base64 of either alphabet, padded or not, to the https URL in it; None if it isn't that."""
    if len(text) > LONGEST or not re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", text):
        return None
    url = _decode(text.translate(_TO_BASE64URL).rstrip("="))
    return url if url is not None and _is_conversation_url(url) else None


def _decode(text: str) -> str | None:
    """Decode unpadded base64url to text; None if it isn't that."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        return None
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _is_conversation_url(url: str) -> bool:
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        return False


def _bad(what: str) -> BadRequest:
    return BadRequest(f"the conversation id {what}; {_FIX}", target="conversationId")
