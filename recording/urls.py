"""URLs from outside, which of them may be requested, and whether by way of a proxy."""

import ipaddress
import re
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

_ADDRESS = re.compile(r"https?://[^\s\"'<>]*", re.IGNORECASE)


def require_https(uri: str) -> str:
    """Return an absolute https URI unchanged; http is allowed for this machine's loopback, where nobody else answers.

    Raises ValueError with the requirement.
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
    raise ValueError("must be an absolute https URI (http is allowed only for the loopback of this machine)")


def strip_queries(text: str) -> str:
    """Remove the query of every URL in a text from outside: it may have a key.

    >>> strip_queries("can't call https://app.example/callbacks?code=secret now")
    "can't call https://app.example/callbacks?… now"
    """
    return _ADDRESS.sub(lambda found: re.sub(r"\?.*", "?…", found[0]), text)


def is_loopback(host: str) -> bool:
    """Return whether a host name means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def has_proxy() -> bool:
    """Return whether the environment names a proxy, as `HTTPS_PROXY` does.

    Only then do clients get to read the environment: otherwise aiohttp looks for a netrc file before each request, in a
    thread, which is a third of the CPU that a small request costs.
    """
    return any(name != "no" for name in getproxies_environment())
