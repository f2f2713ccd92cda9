"""Chunk bytes and metadata files: by ranges, with each redirect checked and signed, from allowed hosts only.

The official client isn't used for bytes: it drops `Range` at offset 0, cannot resume, loses the
signature on the storage host's redirect, and rejects every host but Microsoft's
(docs/acs-contract.md#storage-host, docs/measurements.md#sdk-ranges, #sdk-hosts).
"""

import asyncio
import codecs
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlsplit

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import AsyncHTTPPolicy, AsyncRetryPolicy, SansIOHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from recording import urls
from recording.acs import addresses
from recording.acs.addresses import Use
from recording.acs.auth import auth_policy
from recording.acs.preview_2021 import API_VERSION
from recording.config.resource import Resource
from recording.errors import (
    ChunkError,
    SourceChanged,
    SourceDamaged,
    SourceGone,
    SourceRefused,
    SourceUnavailable,
    SourceUnmeasured,
)
from recording.formats import media
from recording.formats.media import Kind
from recording.model import payload
from recording.model.job import ChunkJob
from recording.telemetry import log

LARGEST_METADATA = 16 * 1024 * 1024
# Usual ones have some KiB (docs/acs-contract.md#2021-metadata-file).
LARGE_METADATA = 1024 * 1024
MOST_REDIRECTS = 5
# What a probe reads: enough for an error page, the kind of file, and the first boxes of an MP4.
HEAD_BYTES = 1024
# The app doesn't wait for a longer Retry-After, which would occupy one of the process's few streams. The queue
# tries again, and until then another chunk has the stream.
LONGEST_RETRY_AFTER = 60.0
# By default azure-core reads 4 KiB at a time: 256 times the calls for a gigabyte.
_READ_BYTES = 1024 * 1024
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
# The server may have its dates from several clocks; RFC 7232, 2.2.2 allowed a minute for that.
_CLOCKS_DIFFER = timedelta(seconds=60)
_REFUSED = "ACS refused this app's credentials ({}); check the key or the role, and the clock"
# Bytes at both ends of a metadata file, with white space.
_END = 1024
# No file has more digits of bytes, and Python reads no number of thousands of digits.
_NUMBER = "[0-9]{1,18}"
_RANGE = re.compile(rf"bytes (?P<first>{_NUMBER})-(?P<last>{_NUMBER})/(?P<total>{_NUMBER}|\*)")
_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,80}")

# Entered while a request isn't with the source: between two tries, as it may have asked. Who measures its pace sets it.
pausing: ContextVar[Callable[[], AbstractContextManager[None]]] = ContextVar("pausing", default=nullcontext)


@dataclass(frozen=True)
class Probe:
    """A document at the source: its size in bytes, its kind (if its first bytes show it), and its version.

    `has_validator` says that equal versions have equal bytes; without it, only one response is known to be of one
    version. `by_id` says that it is fetched by its id, because the address in its event was refused.
    """

    size: int
    kind: Kind | None
    version: str
    etag: str | None
    takes_ranges: bool
    head: bytes
    by_id: bool = False
    has_validator: bool = True
    content_type: str = ""

    @property
    def described(self) -> str:
        """Describe a document that isn't media without showing any of its text."""
        digest = hashlib.sha256(self.head).hexdigest()
        return f"{self.size} bytes, {self.content_type or 'no content type'}, first KiB has SHA-256 {digest}"


@dataclass(frozen=True)
class Opened:
    """A response with the first bytes of a document, or all of it; `body` yields its `length` bytes, once."""

    probe: Probe
    body: AsyncIterator[bytes]
    length: int


@dataclass(frozen=True)
class _Part:
    """What a response says that its body is: the bytes from `first` to `end` of `total`."""

    first: int
    end: int
    total: int
    is_range: bool


class Content:
    """Reads documents from ACS; close it with `aclose`.

    `fetches_by_id` says that the API in use has every document at an address made of its id
    (docs/acs-contract.md#2021-download): there a refused address costs nothing.
    """

    def __init__(
        self,
        resource: Resource,
        credential: AsyncTokenCredential | None = None,
        *,
        extra_hosts: Sequence[str] = (),
        fetches_by_id: bool = False,
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = READ_SECONDS,
        largest_metadata: int = LARGEST_METADATA,
    ) -> None:
        self._endpoint = resource.endpoint
        self._authority = resource.authority
        self._hosts = frozenset(host.lower() for host in (resource.authority, *extra_hosts))
        self._fetches_by_id = fetches_by_id
        self._largest_metadata = largest_metadata
        self._read_timeout = read_timeout
        # The only place where a failed request is retried; it waits for Retry-After. A body that breaks
        # off is retried in ingest, which alone knows how far the bytes got.
        policies: list[AsyncHTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [
            _Retry(retry_total=4, retry_backoff_factor=0.5, retry_backoff_max=20),
            auth_policy(resource, credential),
        ]
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            resource.endpoint,
            policies=policies,
            connection_timeout=connect_timeout,
            read_timeout=read_timeout,
            connection_data_block_size=_READ_BYTES,
            use_env_settings=urls.names_proxy(),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _download(self, job: ChunkJob, part: str = "") -> str:
        document_id = quote(job.source_id or job.document_id, safe="")
        return f"{self._endpoint}/recording/download/{document_id}{part}?api-version={API_VERSION}"

    async def metadata(self, job: ChunkJob, *, before_large: Callable[[], Awaitable[object]] | None = None) -> bytes:
        """Fetch the metadata file unchanged, 16 MiB at most; `before_large` is awaited before the second MiB of one.

        Raises ChunkError, also for an error or a body that isn't a JSON object: it is fetched again.
        """

        async def ask(job: ChunkJob, url: str) -> bytes:
            return await self._metadata(job, url, before_large)

        by_id = self._download(job, "/metadata")
        return (await self._by_location(job, job.metadata_location, by_id, ask))[0]

    async def _metadata(self, job: ChunkJob, url: str, before_large: Callable[[], Awaitable[object]] | None) -> bytes:
        async with self._get(url, job, "metadata") as response:
            received = BytesIO()
            async for piece in self._pieces(response):
                if before_large and received.tell() + len(piece) > LARGE_METADATA:
                    await before_large()
                    before_large = None
                received.write(piece)
                if received.tell() > self._largest_metadata:
                    raise SourceDamaged(f"the metadata file has more than {self._largest_metadata} bytes")
        # Not a copy: the object gives its bytes away.
        body = received.getvalue()
        # The storage host answers with 206 although no range was requested (docs/acs-contract.md#storage-host).
        is_part = _range(response) is not None
        declared = _part(response, len(body)).total if is_part else response.headers.get("Content-Length")
        if not body or (declared is not None and str(len(body)) != str(declared).strip()):
            raise SourceDamaged(f"the metadata file has {len(body)} bytes, {declared} were declared")
        # A body that ends with its connection may have been cut.
        is_delimited = declared is not None or response.headers.get("Transfer-Encoding", "").lower() == "chunked"
        if problem := _problem(body, is_delimited=is_delimited):
            raise SourceDamaged(f"the source sent {problem} instead of the metadata file")
        return body

    async def probe(self, job: ChunkJob) -> Probe:
        """Return size, kind and version, from the first KiB, and whether the source supports ranges.

        Raises SourceDamaged for an empty body, else other ChunkErrors.
        """
        async with self.open(job, first=HEAD_BYTES) as opened:
            return opened.probe

    @asynccontextmanager
    async def open(
        self, job: ChunkJob, *, first: int, size: int | None = None, trusts_validator: bool = True
    ) -> AsyncIterator["Opened"]:
        """Request the first bytes (`first`, at least a KiB), which tell the version as well; close what isn't read.

        Without trust in it a validator is as none. `size` is the length of the document where the source has none,
        as `measure` returns it; else that is SourceUnmeasured. Raises SourceDamaged for an empty body, or other
        ChunkErrors.
        """
        async with AsyncExitStack() as stack:

            async def ask(job: ChunkJob, url: str) -> Opened:
                request = self._get(url, job, "content", first=0, last=first - 1)
                response = await stack.enter_async_context(request)
                part, pieces = _part(response, size), self._pieces(response)
                return await _opened(response, part, pieces, first, trusts_validator=trusts_validator)

            opened, by_id = await self._by_location(job, job.content_location, self._download(job), ask)
            yield replace(opened, probe=replace(opened.probe, by_id=by_id))

    async def measure(
        self, job: ChunkJob, counted: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]] = aiter
    ) -> int:
        """Return the length of a document, by reading all of it if its headers have none; `counted` sees the bytes.

        A chunked body has a mark at its end: one that breaks off raises SourceUnavailable. Or other ChunkErrors.
        """

        async def ask(job: ChunkJob, url: str) -> int:
            async with self._get(url, job, "content") as response:
                try:
                    return _part(response).total
                except SourceUnmeasured:
                    if _range(response) is not None:
                        raise
                return sum([len(piece) async for piece in counted(self._pieces(response))])

        return (await self._by_location(job, job.content_location, self._download(job), ask))[0]

    async def _by_location[Found](
        self, job: ChunkJob, location: str | None, by_id: str, ask: Callable[[ChunkJob, str], Awaitable[Found]]
    ) -> tuple[Found, bool]:
        """Call `ask` with the address in the event, or with the one by id; also return whether the event's was refused.

        An event of 2021 has no locations (docs/acs-contract.md#2021-file-event). An address that is refused, at once or
        behind a redirect, is replaced where the API allows it.
        """
        if location is None:
            return await ask(job, by_id), False
        try:
            return await ask(job, location), False
        except SourceRefused as refused:
            if not self._fetches_by_id:
                raise
            reason = refused.message
        log.warning("source.address_refused", documentId=job.document_id, reason=reason, next="fetch it by its id")
        try:
            return await ask(job, by_id), True
        except ChunkError as failed:
            raise type(failed)(f"{failed.message}; fetched by its id, since {reason}") from failed

    async def read(self, job: ChunkJob, probe: Probe, *, offset: int, length: int) -> bytes:
        """Read some bytes of the version that was probed."""
        return b"".join([piece async for piece in self.stream(job, probe, offset=offset, length=length)])

    async def stream(self, job: ChunkJob, probe: Probe, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """Stream exactly `length` bytes from `offset` of the version that was probed.

        A server may answer with a shorter range (RFC 9110, 15.3.7): the rest is asked for. Without a validator it could
        be of another version, and is not. Raises SourceChanged for another version, SourceDamaged for a body that
        doesn't fit its headers, SourceUnavailable for one that breaks off.
        """
        url = self._download(job) if probe.by_id or job.content_location is None else job.content_location
        end = offset + length
        while offset < end:
            async with self._get(url, job, "content", first=offset, last=end - 1) as response:
                part = _part(response, probe.size)
                validator = _validator(response) if probe.has_validator else None
                if (part.total, _version(validator, part.total)) != (probe.size, probe.version):
                    raise SourceChanged(f"the document had {probe.size} bytes, now another version has {part.total}")
                if part.is_range and part.first != offset:
                    raise SourceDamaged("the source sent a range that was not requested")
                if part.end < end and not probe.has_validator:
                    raise SourceDamaged(f"the range ended {end - part.end} bytes early, and the source has no ETag")
                # A server that ignores Range sends everything: what comes before is skipped.
                skip = offset - part.first
                async for piece in _take(self._pieces(response), part, skip=skip, length=min(end, part.end) - offset):
                    yield piece
            offset = part.end

    def require_address(self, location: str, document_id: str, use: Use) -> None:
        """Raise SourceRefused if this is no address of the document."""
        addresses.require(location, document_id, use, self._hosts)

    async def delete(self, location: str, document_id: str) -> None:
        """Delete a document at the location in its event (docs/acs-contract.md#storage-host), if it still exists.

        Raises ChunkError.
        """
        async with self._ask("DELETE", location, document_id, "deletion") as response:
            if response.status_code not in (200, 202, 204, 404, 410):
                raise _failure(response, None)

    async def _pieces(self, response: AsyncHttpResponse) -> AsyncIterator[bytes]:
        """Yield a body as it comes; raises SourceUnavailable if it breaks off, or nothing comes."""
        pieces = response.iter_raw()
        if "Content-Length" not in response.headers:
            # If the framing of a chunked body is malformed, aiohttp drops its own time-out, and a read never returns.
            pieces = _in_time(pieces, self._read_timeout)
        try:
            async for piece in pieces:
                yield piece
        # A RuntimeError is a connection that aiohttp has closed between two reads.
        except (AzureError, RuntimeError) as failed:
            raise SourceUnavailable(f"the body broke off ({type(failed).__name__})") from failed

    @asynccontextmanager
    async def _get(
        self, url: str, job: ChunkJob, use: Use, *, first: int | None = None, last: int | None = None
    ) -> AsyncIterator[AsyncHttpResponse]:
        """GET a document or a range of it, uncompressed."""
        # By default aiohttp asks for gzip; files and ranges are needed as they are stored.
        headers = {"Accept-Encoding": "identity"} | ({} if first is None else {"Range": f"bytes={first}-{last}"})
        async with self._ask("GET", url, job.source_id or job.document_id, use, headers) as response:
            if response.status_code not in (200, 206):
                raise _failure(response, first)
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise SourceDamaged("the source sent a compressed body, which was not requested")
            yield response

    @asynccontextmanager
    async def _ask(
        self, method: str, url: str, document_id: str, use: Use, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncHttpResponse]:
        """Send a request and follow redirects: each is checked and signed."""
        for _ in range(MOST_REDIRECTS + 1):
            url = addresses.require(url, document_id, use, self._hosts)
            request = HttpRequest(method, url, headers=dict(headers or {}))
            if urlsplit(url).netloc != self._authority.lower():
                # The resource of the recording, with a key as with an identity (docs/acs-contract.md#storage-host).
                request.headers["x-ms-host"] = self._authority
            try:
                response = await self._client.send_request(request, stream=True)
            except ClientAuthenticationError as failed:
                raise SourceUnavailable(_REFUSED.format("no token")) from failed
            # azure-core reads headers, which may say anything, and not all that it can't read is an error of its own.
            except (AzureError, ValueError, OverflowError) as failed:
                raise SourceUnavailable(f"ACS could not be reached ({type(failed).__name__})") from failed
            try:
                if response.status_code in (301, 302, 303, 307, 308):
                    url = addresses.redirected(url, response.headers.get("Location", ""), use)
                    continue
                yield response
                return
            finally:
                await response.close()
        raise SourceRefused(f"more than {MOST_REDIRECTS} redirects")


class _Retry(AsyncRetryPolicy[Any, Any]):
    """Retries as azure-core does, unless the answer has a Retry-After that is too long for a stream."""

    async def sleep(self, *args: Any, **kwargs: Any) -> None:
        """Wait before the next try."""
        with pausing.get()():
            await super().sleep(*args, **kwargs)

    def get_retry_after(self, response: Any) -> float | None:
        """Return the seconds that an answer asks for; None for one that asks for no time that can be read."""
        try:
            return super().get_retry_after(response)
        except (ValueError, OverflowError):
            return None

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        """Return whether to try again after this answer."""
        return super().is_retry(settings, response) and (self.get_retry_after(response) or 0) <= LONGEST_RETRY_AFTER


async def _opened(
    response: AsyncHttpResponse, part: _Part, pieces: AsyncIterator[bytes], first: int, *, trusts_validator: bool
) -> Opened:
    """Read what a response says of a document, and the first KiB of its body."""
    if part.total == 0:
        raise SourceDamaged(f"the source answered with no bytes ({_content_type(response) or 'no content type'})")
    if part.first != 0:
        raise SourceDamaged("the source sent a range that was not requested")
    head = bytearray()
    async for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    validator = _validator(response) if trusts_validator else None
    # Whether text is an error page is judged by ingest: an MP3 may follow it (docs/media.md#which-kind).
    probe = Probe(
        part.total,
        media.sniff(bytes(head[:HEAD_BYTES])),
        _version(validator, part.total),
        response.headers.get("ETag"),
        part.is_range,
        bytes(head[:HEAD_BYTES]),
        has_validator=validator is not None,
        content_type=_content_type(response),
    )
    length = min(first, part.end) if part.is_range else part.end
    return Opened(probe, _take(_after(bytes(head), pieces), part, skip=0, length=length), length)


async def _after(head: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in pieces:
        yield piece


async def _take(pieces: AsyncIterator[bytes], part: _Part, *, skip: int, length: int) -> AsyncIterator[bytes]:
    """Yield `length` bytes of a body after its first `skip`; raises SourceDamaged if there are fewer.

    Where these are its last, it must end with them: what a body has beyond its headers is no less wrong than a gap, and
    says that neither is to be believed. They are held back until it has ended.
    """
    left = length
    is_last = part.first + skip + length == part.end
    async for received in pieces:
        piece = received[skip : skip + left] if skip or len(received) > left else received
        left -= len(piece)
        if is_last and not left:
            beyond = received[skip + len(piece) :] or await anext(pieces, b"")
            if beyond:
                raise SourceDamaged("the body goes on after the end of its range")
        skip = max(0, skip - len(received))
        if piece:
            yield piece
        if not left:
            return
    raise SourceDamaged(f"the body ended {left} bytes before the end of the range")


def _failure(response: AsyncHttpResponse, first: int | None) -> ChunkError:
    status = response.status_code
    if status in (404, 410):
        return SourceGone(f"ACS has no such document ({status}): unknown, deleted or past its retention")
    if status == 416:
        # The storage host answers so to any range of an empty file (docs/acs-contract.md#storage-host).
        if first == 0:
            return SourceDamaged("the document has no bytes (416)")
        return SourceChanged("the document is shorter than it was (416)")
    if status in (401, 403):
        return SourceUnavailable(_REFUSED.format(status))
    return SourceUnavailable(f"ACS answered with {status}")


async def _in_time(pieces: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """Yield pieces; raises SourceUnavailable if there is none for so long."""
    while True:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError as failed:
            if not limit.expired():
                raise
            raise SourceUnavailable(f"the body stopped for {seconds:g} s") from failed
        yield piece


def _range(response: AsyncHttpResponse) -> re.Match[str] | None:
    """Return the range that a body is, None if it is all of the document; raises SourceDamaged for a 206 without one.

    The storage host sends a Content-Range with a 200, too (docs/acs-contract.md#storage-host): a part that says so is
    not all of it, whatever its status.
    """
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code == 206:
        if not match:
            raise SourceDamaged("206 without a valid Content-Range")
        return match
    is_part = match and (int(match["first"]) > 0 or match["total"] not in ("*", str(int(match["last"]) + 1)))
    return match if is_part else None


def _part(response: AsyncHttpResponse, size: int | None = None) -> _Part:
    """Return what the headers say of a body; `size` is the document's where they have none.

    Raises SourceDamaged if they contradict each other, SourceUnmeasured if there is no size at all.
    """
    declared = response.headers.get("Content-Length")
    if declared is not None and not re.fullmatch(_NUMBER, declared):
        raise SourceDamaged("the source sent no valid Content-Length")
    if match := _range(response):
        total = size if match["total"] == "*" else int(match["total"])
        if total is None:
            raise SourceUnmeasured("a Content-Range that hasn't the size of the document")
        part = _Part(int(match["first"]), int(match["last"]) + 1, total, is_range=True)
        if not part.first < part.end <= part.total:
            raise SourceDamaged("an impossible Content-Range")
        if declared is not None and int(declared) != part.end - part.first:
            raise SourceDamaged(f"the source declared {declared} bytes for a range of {part.end - part.first}")
        return part
    if declared is not None:
        size = int(declared)
    elif response.headers.get("Transfer-Encoding", "").strip().lower() != "chunked":
        # Such a body ends with the connection, whatever ended that.
        raise SourceDamaged("the source sent no valid Content-Length")
    if size is None:
        raise SourceUnmeasured("the source sent no Content-Length")
    return _Part(0, size, size, is_range=False)


def _version(validator: str | None, size: int) -> str:
    """Return what identifies a version of a document: its validator, if it has one, and its size."""
    return f"{validator or ''}|{size}"


def _validator(response: AsyncHttpResponse) -> str | None:
    """Return the strong validator of a response: equal ones mean equal bytes (RFC 9110, 8.8).

    A weak ETag allows other bytes. Last-Modified has a resolution of a second: bytes may have changed twice within it,
    unless it was over when the response was made.
    """
    etag = response.headers.get("ETag")
    if etag and etag[:2].upper() != "W/":
        return etag
    modified = response.headers.get("Last-Modified")
    try:
        age = parsedate_to_datetime(response.headers["Date"]) - parsedate_to_datetime(modified or "")
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return modified if age >= _CLOCKS_DIFFER else None


def _problem(body: bytes, *, is_delimited: bool) -> str | None:
    """Describe a body that can't be a metadata file, or return None; of a large one only both ends are examined.

    One that begins and ends as an object but can't be parsed is kept, unless it may have been cut: what it says may be
    of use to somebody else.
    """
    if len(body) <= payload.LARGEST_READ:
        # In any encoding of Unicode.
        with suppress(ValueError, RecursionError):
            parsed = json.loads(body)
            if isinstance(parsed, dict):
                return "an error" if payload.is_error(parsed) else None
    ends = body[:_END].lstrip().removeprefix(codecs.BOM_UTF8).lstrip()[:1] + body[-_END:].rstrip()[-1:]
    if ends[:1] == b"<":
        return "a page"
    if ends != b"{}":
        return "a body that isn't a JSON object"
    return None if is_delimited or len(body) > payload.LARGEST_READ else "a body without a length that isn't JSON"


def _content_type(response: AsyncHttpResponse) -> str:
    """Return the content type for a message; it decides nothing, and the header may contain anything."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind if _CONTENT_TYPE.fullmatch(kind) else ""
