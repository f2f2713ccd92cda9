"""Pure: the hosts from which recordings may be fetched and deleted; only these get this app's credentials."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from recording.errors import SourceRefused
from recording.urls import is_loopback

# The suffixes that the official client 1.6.0 allows (docs/acs-contract.md#storage-host).
MICROSOFT_SUFFIXES = (".asm.skype.com", ".asyncgw.teams.microsoft.com", ".ams.gov.teams.microsoft.us")
# RFC 1035, 2.3.4. What an event has in place of a host may be longer, and reaches logs and manifests.
_LONGEST_HOST = 255
# A name, or an IPv6 address without its brackets: about anything else parsers disagree.
_HOST = re.compile(r"[a-z0-9.-]+|[0-9a-f:.]+")


def require_allowed(url: str, named: Collection[str]) -> None:
    """Raise SourceRefused for any host except Microsoft's and those `named` (in lower case); https unless loopback.

    The message has the host and nothing else of the URL.
    """
    try:
        parts = urlsplit(url)
        host, authority = (parts.hostname or "").lower(), parts.netloc.lower()
        is_named = authority in named or (parts.port in (None, 443) and host in named)
        is_known = host.endswith(MICROSOFT_SUFFIXES) and parts.port in (None, 443)
    except ValueError:
        raise SourceRefused("the URL cannot be parsed") from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if "@" in authority or not _HOST.fullmatch(host) or not secure or not (is_named or is_known):
        shown = host[:_LONGEST_HOST]
        raise SourceRefused(f"host {shown!r} is not allowed; if it belongs to the service, add it to CONTENT_HOSTS")
