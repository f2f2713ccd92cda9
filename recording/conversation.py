"""Pure: conversation ids, and the mistakes that people make with them.

The 2021 API takes the unpadded base64url of a conversation URL, or a group-call GUID
(acs-contract 2.2).
"""

import base64
import binascii
import re
from urllib.parse import unquote, urlsplit

from recording.errors import BadRequest

# Real ids have about 120 characters; the longest URL that the host takes has 8,192 (functions-host.md 1).
LONGEST = 4096
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TO_BASE64URL = str.maketrans("+/", "-_")
_MEND = "send the unpadded base64url of the conversation URL, or POST /recordings with conversationUrl"


def encode(url: str) -> str:
    """Turn a conversation URL into the conversation id that the service takes.

    Raises BadRequest (target conversationUrl) for anything but an absolute https URL.

    >>> encode("https://conv-test/conv/x?i=1&e=2")
    'aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI'
    """
    if not _is_conversation_url(url):
        raise BadRequest("conversationUrl must be an absolute https URL", target="conversationUrl")
    conversation_id = base64.urlsafe_b64encode(url.encode()).rstrip(b"=").decode()
    if len(conversation_id) > LONGEST:
        raise BadRequest("conversationUrl is too long to be one", target="conversationUrl")
    return conversation_id


def check(conversation_id: str) -> str:
    """Return the id if the service would take it.

    Raises BadRequest (target conversationId) that says what is wrong and how to mend it.
    """
    if not conversation_id or len(conversation_id) > LONGEST:
        raise _bad("is empty" if not conversation_id else f"is longer than {LONGEST} characters")
    if is_group_id(conversation_id):
        return conversation_id
    url = _decode(conversation_id)
    if url is None and _decode(unquote(conversation_id).translate(_TO_BASE64URL).rstrip("=")):
        raise _bad("is Base64, not Base64Url: write - for +, _ for /, and leave the = padding away")
    if url is None:
        raise _bad("is neither the Base64Url of a conversation URL nor a group call's GUID")
    if not _is_conversation_url(url):
        raise _bad("decodes to something that is not an https URL")
    return conversation_id


def is_group_id(conversation_id: str) -> bool:
    """Tell whether the id is a group call's GUID, which may be met again by a later call."""
    return _GUID.fullmatch(conversation_id) is not None


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
    return BadRequest(f"the conversation id {what}; {_MEND}", target="conversationId")
