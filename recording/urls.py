"""Pure: addresses that come from outside, and which of them may be asked."""

import ipaddress
import re
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"https?://[^\s\"'<>]*", re.IGNORECASE)


def require_https(uri: str) -> str:
    """Return an absolute https URI as it is; http is taken for this machine's loopback, where nobody else answers.

    Raises ValueError that says what is asked for.
    """
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or not uri.isprintable() or " " in uri:
        raise ValueError("must be an absolute https URI")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return uri
    raise ValueError("must be an absolute https URI (http is taken for this machine's loopback only)")


def strip_queries(text: str) -> str:
    """Cut the query off every address in a text that others wrote: it may hold a key.

    >>> without_queries("can't call https://app.example/callbacks?code=secret now")
    "can't call https://app.example/callbacks?… now"
    """
    return _ADDRESS.sub(lambda found: re.sub(r"\?.*", "?…", found[0]), text)


def is_loopback(host: str) -> bool:
    """Tell whether a host name means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
