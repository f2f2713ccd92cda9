"""Chunk bytes and metadata files: by ranges, with each redirect checked and signed, from allowed hosts only.

The official client isn't used for bytes: it drops `Range` at offset 0, cannot resume, loses the
signature on the storage host's redirect, and rejects every host but Microsoft's
(docs/acs-contract.md#storage-host, docs/measurements.md#sdk-ranges, #sdk-hosts).
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import AsyncHTTPPolicy, AsyncRetryPolicy, SansIOHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from recording.acs import hosts
from recording.acs.auth import auth_policy
from recording.acs.preview_2021 import API_VERSION
from recording.config.resource import Resource
from recording.errors import ChunkError, SourceChanged, SourceDamaged, SourceGone, SourceRefused, SourceUnavailable
from recording.formats import media
from recording.formats.media import Kind
from recording.model.job import ChunkJob

LARGEST_METADATA = 16 * 1024 * 1024
MOST_REDIRECTS = 5
# What a probe reads: enough for an error page, the kind of file, and the first boxes of an MP4.
HEAD_BYTES = 1024
# The app doesn't wait for a longer Retry-After, which would occupy one of the process's few streams. The queue
# tries again, and until then another chunk has the stream.
LONGEST_RETRY_AFTER = 60.0
# azure-core reads 4 KiB at a time unless told otherwise: 256 times the calls for a gigabyte.
_READ_BYTES = 1024 * 1024
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
_REFUSED = "ACS refused this app's credentials ({}); check the key or the role, and the clock"
_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,80}")
_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<total>\d+)")


@dataclass(frozen=True)
class Probe:
    """A document at the source: its size in bytes, its kind (if its first bytes show it), and its version."""

    size: int
    kind: Kind | None
    version: str
    etag: str | None
    takes_ranges: bool
    head: bytes
    content_type: str = ""

    @property
    def described(self) -> str:
        """Describe a document that isn't media without showing any of its text."""
        digest = hashlib.sha256(self.head).hexdigest()
        return f"{self.size} bytes, {self.content_type or 'no content type'}, first KiB has SHA-256 {digest}"


class Content:
    """Reads documents from ACS; close it with `aclose`."""

    def __init__(
        self,
        resource: Resource,
        credential: AsyncTokenCredential | None = None,
        *,
        extra_hosts: Sequence[str] = (),
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = READ_SECONDS,
        largest_metadata: int = LARGEST_METADATA,
    ) -> None:
        self._endpoint = resource.endpoint
        self._authority = resource.authority
        self._hosts = frozenset(host.lower() for host in (resource.authority, *extra_hosts))
        self._largest_metadata = largest_metadata
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
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def content_url(self, job: ChunkJob) -> str:
        """Return the URL of a chunk's bytes: from its event, else as in the 2021 preview API.

        See docs/acs-contract.md#storage-host, #2021-download.
        """
        return job.content_location or self._download(job)

    def metadata_url(self, job: ChunkJob) -> str:
        """Return the URL of a chunk's metadata file."""
        return job.metadata_location or self._download(job, "/metadata")

    def _download(self, job: ChunkJob, part: str = "") -> str:
        document_id = quote(job.document_id, safe="")
        return f"{self._endpoint}/recording/download/{document_id}{part}?api-version={API_VERSION}"

    async def metadata(self, job: ChunkJob) -> bytes:
        """Fetch the metadata file unchanged, 16 MiB at most.

        Raises ChunkError.
        """
        async with self._get(self.metadata_url(job)) as response:
            body = bytearray()
            async for piece in _pieces(response):
                body += piece
                if len(body) > self._largest_metadata:
                    raise SourceDamaged(f"the metadata file has more than {self._largest_metadata} bytes")
        # The storage host answers with 206 although no range was requested (docs/acs-contract.md#storage-host).
        declared = _total(response)[0] if response.status_code == 206 else response.headers.get("Content-Length")
        if not body or (declared is not None and len(body) != int(declared)):
            raise SourceDamaged(f"the metadata file has {len(body)} bytes, {declared} were declared")
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            raise SourceDamaged("the metadata file is not JSON") from None
        if not isinstance(parsed, dict) or {"code", "error"} & parsed.keys():
            raise SourceDamaged("the metadata file is not an object, or an error")
        return bytes(body)

    async def probe(self, job: ChunkJob) -> Probe:
        """Return size, kind and version, from the first KiB, and whether the source supports ranges.

        Raises SourceDamaged for an empty body, else other ChunkErrors.
        """
        async with self._get(self.content_url(job), first=0, last=HEAD_BYTES - 1) as response:
            size, takes_ranges = _total(response)
            if size == 0:
                raise SourceDamaged(
                    f"the source answered with no bytes ({_content_type(response) or 'no content type'})"
                )
            head = bytearray()
            async for piece in _pieces(response):
                head += piece
                if len(head) >= HEAD_BYTES:
                    break
            # Whether text is an error page is judged by ingest: an MP3 may follow it (docs/media.md#which-kind).
            kind, etag = media.sniff(bytes(head)), response.headers.get("ETag")
            version, content_type = _version(response, size), _content_type(response)
            return Probe(size, kind, version, etag, takes_ranges, bytes(head[:HEAD_BYTES]), content_type)

    async def read(self, job: ChunkJob, probe: Probe, *, offset: int, length: int) -> bytes:
        """Read some bytes of the version that was probed."""
        return b"".join([piece async for piece in self.stream(job, probe, offset=offset, length=length)])

    async def stream(self, job: ChunkJob, probe: Probe, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """Stream exactly `length` bytes from `offset` of the version that was probed.

        Raises SourceChanged for another version, SourceDamaged for a body that is too short,
        SourceUnavailable for one that breaks off.
        """
        async with self._get(self.content_url(job), first=offset, last=offset + length - 1) as response:
            total, is_range = _total(response)
            if (total, _version(response, total)) != (probe.size, probe.version):
                raise SourceChanged(f"the document had {probe.size} bytes, now another version has {total}")
            # A server that ignores Range sends everything: skip what comes before.
            skip = 0 if is_range else offset
            if is_range and _first(response) != offset:
                raise SourceDamaged("the source sent a range that was not requested")
            left = length
            async for received in _pieces(response):
                piece = received[skip : skip + left]
                skip = max(0, skip - len(received))
                left -= len(piece)
                if piece:
                    yield piece
                if not left:
                    return
            raise SourceDamaged(f"the body ended {left} bytes before the end of the range")

    async def delete(self, location: str) -> None:
        """Delete a document at the location in its event (docs/acs-contract.md#storage-host), if it still exists.

        Raises ChunkError.
        """
        async with self._ask("DELETE", location) as response:
            if response.status_code not in (200, 202, 204, 404, 410):
                raise _failure(response, None)

    @asynccontextmanager
    async def _get(
        self, url: str, *, first: int | None = None, last: int | None = None
    ) -> AsyncIterator[AsyncHttpResponse]:
        """GET a document or a range of it, uncompressed."""
        # By default aiohttp asks for gzip; files and ranges are needed as they are stored.
        headers = {"Accept-Encoding": "identity"} | ({} if first is None else {"Range": f"bytes={first}-{last}"})
        async with self._ask("GET", url, headers) as response:
            if response.status_code not in (200, 206):
                raise _failure(response, first)
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise SourceDamaged("the source sent a compressed body, which was not requested")
            yield response

    @asynccontextmanager
    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncHttpResponse]:
        """Send a request and follow redirects: each is checked and signed."""
        for _ in range(MOST_REDIRECTS + 1):
            hosts.require_allowed(url, self._hosts)
            request = HttpRequest(method, url, headers=dict(headers or {}))
            if urlsplit(url).netloc != self._authority:
                # The resource of the recording, with a key as with an identity (docs/acs-contract.md#storage-host).
                request.headers["x-ms-host"] = self._authority
            try:
                response = await self._client.send_request(request, stream=True)
            except ClientAuthenticationError as failed:
                raise SourceUnavailable(_REFUSED.format("no token")) from failed
            except AzureError as failed:
                raise SourceUnavailable(f"ACS could not be reached ({type(failed).__name__})") from failed
            try:
                if response.status_code in (301, 302, 303, 307, 308):
                    url = _location(url, response)
                    continue
                yield response
                return
            finally:
                await response.close()
        raise SourceRefused(f"more than {MOST_REDIRECTS} redirects")


def _location(url: str, response: AsyncHttpResponse) -> str:
    try:
        return urljoin(url, response.headers.get("Location", ""))
    except ValueError:
        raise SourceRefused("the URL of the redirect cannot be parsed") from None


class _Retry(AsyncRetryPolicy[Any, Any]):
    """Retries as azure-core does, unless the answer has a Retry-After that is too long for a stream."""

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        """Return whether to try again after this answer."""
        return super().is_retry(settings, response) and (self.get_retry_after(response) or 0) <= LONGEST_RETRY_AFTER


async def _pieces(response: AsyncHttpResponse) -> AsyncIterator[bytes]:
    try:
        async for piece in response.iter_raw():
            yield piece
    except AzureError as failed:
        raise SourceUnavailable(f"the body broke off ({type(failed).__name__})") from failed


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


def _total(response: AsyncHttpResponse) -> tuple[int, bool]:
    """Return the size of the document, and whether this response is a range of it."""
    if response.status_code == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not match:
            raise SourceDamaged("206 without a Content-Range that has the size of the document")
        return int(match["total"]), True
    try:
        return int(response.headers["Content-Length"]), False
    except (KeyError, ValueError):
        raise SourceDamaged("the source sent no valid Content-Length") from None


def _first(response: AsyncHttpResponse) -> int:
    match = _RANGE.fullmatch(response.headers["Content-Range"])
    return int(match["first"]) if match else -1


def _version(response: AsyncHttpResponse, size: int) -> str:
    """Return what identifies a version of a document: ETag or date, and size."""
    return f"{response.headers.get('ETag') or response.headers.get('Last-Modified') or ''}|{size}"


def _content_type(response: AsyncHttpResponse) -> str:
    """Return the content type for a message; it decides nothing, and may hold anything."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind if _CONTENT_TYPE.fullmatch(kind) else ""
