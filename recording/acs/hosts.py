"""Pure: the hosts that a recording may be fetched from and deleted at, and that see this app's credentials."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from recording.errors import SourceRefused
from recording.urls import is_loopback

# The suffixes that the official client 1.6.0 allows (docs/acs-contract.md#storage-host).
MICROSOFT_SUFFIXES = (".asm.skype.com", ".asyncgw.teams.microsoft.com", ".ams.gov.teams.microsoft.us")
# A name, or an IPv6 address without its brackets: whatever else stands there, parsers disagree about it.
_HOST = re.compile(r"[a-z0-9.-]+|[0-9a-f:.]+")


def require_allowed(url: str, named: Collection[str]) -> None:
    """Refuse any host but Microsoft's and those `named`, in small letters; https unless loopback.

    Raises SourceRefused, which shows the host and nothing else of the address.
    """
    try:
        parts = urlsplit(url)
        host, authority = (parts.hostname or "").lower(), parts.netloc.lower()
        is_named = authority in named or (parts.port in (None, 443) and host in named)
        is_known = host.endswith(MICROSOFT_SUFFIXES) and parts.port in (None, 443)
    except ValueError:
        raise SourceRefused("the address cannot be read") from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if "@" in authority or not _HOST.fullmatch(host) or not secure or not (is_named or is_known):
        raise SourceRefused(f"host {host!r} is not allowed; if it is the service's own, add it to CONTENT_HOSTS")
