"""Pure: an ACS resource, as settings name it (docs/acs-contract.md#connection-string)."""

import base64
from dataclasses import dataclass
from urllib.parse import urlsplit

from recording.errors import Misconfigured


@dataclass(frozen=True)
class Resource:
    """An ACS resource: its endpoint without a trailing slash, and its key if one is used."""

    endpoint: str
    access_key: str | None = None

    def __repr__(self) -> str:
        """Show the endpoint only: the key must not get into a log."""
        return f"Resource(endpoint={self.endpoint!r})"

    @property
    def authority(self) -> str:
        """Return the host, with its port if that isn't the default, as the signature has it."""
        return urlsplit(self.endpoint).netloc


def parse_connection_string(text: str) -> Resource:
    """Read `endpoint=https://…;accesskey=…`; names without case, keys may hold `=`.

    Raises Misconfigured without repeating any of the text (docs/acs-contract.md#connection-string).
    """
    parts = dict(part.split("=", 1) for part in text.strip().split(";") if "=" in part)
    values = {name.strip().lower(): value.strip() for name, value in parts.items()}
    endpoint, key = values.get("endpoint", "").rstrip("/"), values.get("accesskey", "")
    if not is_endpoint(endpoint) or not key:
        raise Misconfigured(
            "ACS_CONNECTION_STRING must have the form endpoint=https://<name>.communication.azure.com;accesskey=…"
        )
    try:
        base64.b64decode(key, validate=True)
    except ValueError:
        raise Misconfigured("the accesskey in ACS_CONNECTION_STRING is not base64") from None
    return Resource(endpoint, key)


def is_endpoint(text: str) -> bool:
    """Return whether `text` is a scheme and a host, perhaps with a port, and nothing more."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    # Paths of another service answer 404, as for a recording that doesn't exist; user and password get into logs.
    is_bare = "@" not in parts.netloc and not any(parts[2:])
    return is_bare and parts.scheme in ("https", "http") and bool(parts.hostname)
