"""Pure: URLs from outside, and which of them may be requested."""

import ipaddress
import re
from functools import cache
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


@cache
def names_proxy() -> bool:
    """Return whether the environment of this process has settings of a proxy (HTTPS_PROXY and so on).

    A client that may use one (`use_env_settings`) reads the environment and .netrc in a thread before every request: a
    third of the CPU that a small request takes.
    """
    # NO_PROXY alone is listed, too, under "no".
    return any(scheme != "no" for scheme in getproxies_environment())


def is_loopback(host: str) -> bool:
    """Return whether a host name means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
