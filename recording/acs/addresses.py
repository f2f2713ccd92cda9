"""Pure: the addresses of one document at ACS: where it is fetched and deleted.

An address comes from an event or from a redirect, and is requested with this app's credentials. So it must be a view of
the announced document, segment by segment, in one of the two documented forms (docs/acs-contract.md#storage-host,
#2021-download), on any allowed host. What is returned has only characters that no client re-encodes or resolves: what
is requested and signed is what was checked.
"""

import re
from collections.abc import Collection
from typing import Literal
from urllib.parse import unquote, urljoin, urlsplit

from yarl import URL

from recording.acs import hosts
from recording.errors import SourceRefused

Use = Literal["content", "metadata", "deletion"]

# Characters that need no encoding in a segment (RFC 3986, 3.3) and separate nothing. Of these the ids and views of
# docs/acs-contract.md#storage-host consist.
_SEGMENT = re.compile(r"[A-Za-z0-9._~:@-]+")
_DOTS = re.compile(r"\.*")
# The documented form of a document id (docs/acs-contract.md#2021-file-event), anywhere in a text.
_DOCUMENT_ID = re.compile(r"(?<![a-z0-9])\d+-[a-z0-9]+-d\d+-[a-z0-9_~-]+", re.IGNORECASE)
_METADATA_VIEW = "acsmetadata"
_MOST_ENCODINGS = 5


def require(url: str, document_id: str, use: Use, named: Collection[str]) -> str:
    """Return the URL to request, if `url` is an address of the document for this use, on Microsoft's or a `named` host.

    Raises SourceRefused, whose message has the host and nothing else of the URL.
    """
    hosts.require_allowed(url, named)
    # Checked before it is parsed: `urlsplit` drops line breaks and tabs.
    if not url.isascii() or not url.isprintable() or any(c in url for c in "\\#"):
        raise _refused(use, "it has a fragment, or characters that are not allowed in a URL")
    parts = urlsplit(url)
    segments = _segments(parts.path, use)
    if not _names(segments, document_id, use):
        raise _refused(use, "its path is not that of the document")
    _require_harmless(parts.query, document_id, use)
    sent = str(URL(f"{parts.scheme}://{_authority(url)}/{'/'.join(segments)}{'?' * bool(parts.query)}{parts.query}"))
    if urlsplit(sent).path != f"/{'/'.join(segments)}":
        raise _refused(use, "it would be requested as another address")
    return sent


def redirected(url: str, location: str, use: Use) -> str:
    """Return where a redirect from `url` leads, which is not checked yet; `location` may be relative.

    Raises SourceRefused for dot segments: resolving them could turn it into an address of the document.
    """
    # `urljoin` resolves dot segments, which are refused in any other address too.
    if any(_DOTS.fullmatch(_decoded(segment, use)) for segment in re.split(r"[/\\?#]", location) if segment):
        raise _refused(use, "it has dot segments")
    try:
        return urljoin(url, location)
    except ValueError:
        raise SourceRefused("the URL of the redirect cannot be parsed") from None


def _segments(path: str, use: Use) -> list[str]:
    """Return the segments of a path, decoded once: whatever is still encoded after that is refused."""
    segments = [unquote(segment) for segment in path.split("/")[1:]]
    if not all(_SEGMENT.fullmatch(one) and not _DOTS.fullmatch(one) for one in segments):
        raise _refused(use, "a segment of its path is empty, or has dots, parameters or encoded characters")
    return segments


def _names(segments: list[str], document_id: str, use: Use) -> bool:
    """Return whether these segments are the address of the document for this use."""
    match segments:
        case ["v1", "objects", named, *view]:
            # The names of the service's views are not all known (docs/acs-contract.md#not-found): any segment is one.
            # For the two forms of a deletion, see docs/acs-contract.md#file-event.
            is_view = len(view) == 2 and view[0] == "content"
            fits = {
                "content": is_view and view[1].lower() != _METADATA_VIEW,
                "metadata": is_view,
                "deletion": view in ([], ["content", "deletedata"]),
            }
        case ["recording", "download", named, *view]:
            fits = {"content": view == [], "metadata": view == ["metadata"], "deletion": False}
        case _:
            return False
    return named == document_id and fits[use]


def _require_harmless(query: str, document_id: str, use: Use) -> None:
    """Raise SourceRefused for a query that may mean another document; no documented address has more than a version."""
    text = _decoded(query, use)
    others = {found.lower() for found in _DOCUMENT_ID.findall(text)} - {document_id.lower()}
    if others or not text.isprintable() or any(sign in text for sign in ("\\", "..", "://", "objects/")):
        raise _refused(use, "its query names something other than the document")
    if query and use == "deletion":
        raise _refused(use, "the address of a deletion has no query")


def _decoded(text: str, use: Use) -> str:
    """Decode a text however often it was encoded."""
    for _ in range(_MOST_ENCODINGS):
        if (decoded := unquote(text)) == text:
            return text
        text = decoded
    raise _refused(use, "it is encoded too many times")


def _authority(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port is not None else "")


def _refused(use: Use, why: str) -> SourceRefused:
    return SourceRefused(f"the address of the document's {use} is refused: {why}")
