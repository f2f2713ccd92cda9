"""Strict verification of the service's HMAC-SHA256 request signature (docs/acs-contract.md#hmac)."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Maps the resource's host name and the headers of a request to the names it may be signed with.
Candidates = Callable[[str, Mapping[str, str]], list[str]]
_LOOPBACK = ("127.0.0.1", "localhost")
_CLOCK_SKEW_SECONDS = 900.0
MESSAGE = "HMAC-SHA256 validation failed"
# The names only say which header has the signed date; clients of 2021 differ in their order, not in the values.
_SCHEME = re.compile(
    r"HMAC-SHA256 SignedHeaders=(?P<date>x-ms-date|date);host;x-ms-content-sha256&Signature=(?P<signature>[^&\s]+)",
    re.IGNORECASE,
)


def content_hash(body: bytes) -> str:
    """Return base64 of the SHA-256 of the raw body bytes; an empty body is hashed too."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")


def string_to_sign(method: str, path_and_query: str, *, date: str, host: str, body_hash: str) -> str:
    """Return the text that is signed; the path is as sent, with its percent-encoding."""
    return f"{method.upper()}\n{path_and_query}\n{date};{host};{body_hash}"


def sign(access_key: str, text: str) -> str:
    """Sign text with the base64 access key and return the base64 signature."""
    digest = hmac.new(base64.b64decode(access_key), text.encode("utf-8"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode("ascii")


def candidate_hosts(resource_host: str, headers: Mapping[str, str]) -> list[str]:
    """List the host names a client may have signed with, each with and without its port.

    In the order of docs/acs-contract.md#hmac: the resource's own host, ``x-ms-host``, ``X-Forwarded-Host``,
    ``Host``. A name without a port is also tried with the resource's port, because the Python SDK
    sends ``x-ms-host`` without the port while it signs with it.
    """
    port = resource_host.rpartition(":")[2] if ":" in resource_host else ""
    named = [resource_host, *(headers.get(name, "") for name in ("x-ms-host", "X-Forwarded-Host", "Host"))]
    candidates: list[str] = []
    for host in filter(None, named):
        bare = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        candidates += [host, bare, *([f"{bare}:{port}"] if port else [])]
    return list(dict.fromkeys(candidates))


def storage_candidate_hosts(resource_host: str, headers: Mapping[str, str]) -> list[str]:
    """List the host names a request to the storage host may have been signed with (docs/acs-contract.md#storage-host).

    It must name the resource in ``x-ms-host`` or ``X-Forwarded-Host``, or as its ``Host`` like a client of 2021. The
    storage host's own name is not accepted: signing with it is the most likely mistake of a client.
    """
    name, _, port = resource_host.rpartition(":")
    aliases = {name, *(_LOOPBACK if name in _LOOPBACK else ())}
    whole = {f"{alias}:{port}" for alias in aliases}
    named = [host for key in ("x-ms-host", "X-Forwarded-Host") if (host := headers.get(key, "")) in aliases | whole]
    named += [host for host in [headers.get("Host", "")] if host in whole]
    bare = [host.removesuffix(f":{port}") for host in named]
    return list(dict.fromkeys(form for host in bare for form in (f"{host}:{port}", host)))


@dataclass(frozen=True)
class SignedRequest:
    """The parts of a request that its signature covers."""

    method: str
    path_and_query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Verifier:
    """Hold one resource's key and decide whether a request was signed with it."""

    access_key: str
    resource_host: str
    candidates: Candidates = candidate_hosts

    def __post_init__(self) -> None:
        """Raise ValueError for a key that is not base64, which could never match a signature."""
        try:
            base64.b64decode(self.access_key, validate=True)
        except binascii.Error as error:
            raise ValueError("the access key is not base64") from error

    def refusal(self, request: SignedRequest, *, now: datetime) -> str | None:
        """Return why the request is refused, as a sentence for the log, or None if it is authentic.

        ``now`` is real time, never the emulator's movable clock: a client signs with real time.
        """
        scheme = _SCHEME.fullmatch(request.headers.get("Authorization", "").strip())
        if scheme is None:
            return "the Authorization header is missing or is not the HMAC-SHA256 scheme"
        date = request.headers.get(scheme["date"], "")
        if not self._is_recent(date, now):
            return "the signed date is missing, malformed or outside the allowed clock skew"
        body_hash = request.headers.get("x-ms-content-sha256", "")
        if not _same(body_hash, content_hash(request.body)):
            return "x-ms-content-sha256 is not the hash of the body"
        if not self._matches(request, date, scheme["signature"], self.candidates(self.resource_host, request.headers)):
            return "the signature does not match"
        return None

    @staticmethod
    def _is_recent(date: str, now: datetime) -> bool:
        try:
            signed_at = parsedate_to_datetime(date)
        except ValueError:
            return False
        if signed_at.tzinfo is None:
            signed_at = signed_at.replace(tzinfo=UTC)
        return abs((now - signed_at).total_seconds()) <= _CLOCK_SKEW_SECONDS

    def _matches(self, request: SignedRequest, date: str, signature: str, hosts: Iterable[str]) -> bool:
        matched = False
        body_hash = content_hash(request.body)
        for host in hosts:
            text = string_to_sign(request.method, request.path_and_query, date=date, host=host, body_hash=body_hash)
            # No early exit: the time taken must not reveal which candidate matched.
            matched |= _same(signature, sign(self.access_key, text))
        return matched


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("utf-8"), right.encode("utf-8"))
