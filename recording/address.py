"""Pure: addresses that come from outside, and which of them may be asked."""

import ipaddress
from urllib.parse import urlsplit


def check(uri: str) -> str:
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


def is_loopback(host: str) -> bool:
    """Tell whether a host name means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
