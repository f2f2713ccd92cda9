"""The sink: as much of Blob Storage as ingest and the archive need, and it drops the bytes.

Beside Azurite, whose own ceiling hides the difference between the contenders. What is kept of a chunk is its length,
its block list and its metadata; read back, it has the bytes of the document that its name stands for, and so has a copy
that was made from it. Small bodies are kept as they are. CRC64s are computed as Blob Storage does
(docs/azure-storage.md#checksums-in-answers). Rows of a table are accepted and dropped.
"""

import base64
import json
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from awscrt import checksums

from benchmarks import serving
from benchmarks.document import filler
from benchmarks.wire import Answer, Bytes, Handler, Request, byte_range
from local.acs.filler import Filler

ACCOUNT = "bench"
# When each blob was written, as JSON: {path: Unix time}.
MOMENTS = "/benchmark/moments"
_TABLES = f"/{ACCOUNT}-table"
_KEY = "Ym90aCBzaWRlcyBrbm93IGl0"
_LISTED = re.compile(r"<(?:Latest|Uncommitted|Committed)>([^<]+)</")
# The requests in the body of a batch.
_DELETED = re.compile(r"^DELETE (\S+) HTTP/1\.1", re.MULTILINE)
_META = "x-ms-meta-"
_KEPT_BYTES = 64 * 1024


@dataclass
class _Blob:
    """What is known of a blob; `size` is None until it is committed.

    `content` is what it is read from: bytes, or a document. `blocks` has the length of each block.
    """

    size: int | None = None
    etag: str = ""
    content_type: str = "application/octet-stream"
    written_at: float = 0.0
    content: bytes | Filler | None = None
    blocks: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    def pieces(self, offset: int, length: int) -> Iterable[Bytes]:
        """Return bytes of it without copying them."""
        if isinstance(self.content, Filler):
            return self.content.pieces(offset, length)
        return [(self.content or b"")[offset : offset + length]]


def connection_string(url: str) -> str:
    """Return the connection string of the account at a sink's address."""
    return (
        f"DefaultEndpointsProtocol={urlsplit(url).scheme};AccountName={ACCOUNT};AccountKey={_KEY};"
        f"BlobEndpoint={url}/{ACCOUNT};QueueEndpoint={url}/{ACCOUNT}-queue;TableEndpoint={url}{_TABLES};"
    )


class Sink:
    """The blobs, and the operations on them."""

    def __init__(self) -> None:
        self._blobs: dict[str, _Blob] = {}
        self._changes = 0

    def handler(self) -> Handler:
        """Return what the sink does."""
        return Handler(
            keeps=lambda request: request.length <= _KEPT_BYTES or request.query.get("comp") in ("blocklist", "batch"),
            answer=self.answer,
        )

    def answer(self, request: Request) -> Answer:
        """Answer one request as Blob Storage does."""
        if request.path == MOMENTS:
            moments = {path: blob.written_at for path, blob in self._blobs.items() if blob.size is not None}
            return _answer(json.dumps(moments).encode(), {"Content-Type": "application/json"}, "moments")
        if request.path.startswith(f"{_TABLES}/"):
            return Answer(204, self._headers(_Blob()), kind="row")
        if request.query.get("comp") == "list":
            return self._list(request)
        if request.query.get("comp") == "batch":
            return self._delete_each(request)
        if request.query.get("restype") == "container":
            return Answer(201 if request.method == "PUT" else 200, self._headers(_Blob()), kind="container")
        blob = self._blobs.get(request.path, _Blob())
        match request.method, request.query.get("comp"):
            case "PUT", "block":
                return self._put_block(request, blob)
            case "PUT", "blocklist":
                listed = _LISTED.findall(request.body.decode())
                return self._write(request, blob, sum(blob.blocks.get(one, 0) for one in listed), "put block list")
            case "PUT", None:
                return self._write(request, blob, request.length, "put blob")
            case "GET", "blocklist":
                return self._block_list(blob)
            case _:
                pass
        if blob.size is None:
            return _error(404, "BlobNotFound")
        return self._existing(request, blob)

    def _existing(self, request: Request, blob: _Blob) -> Answer:
        """Answer what needs a committed blob."""
        match request.method, request.query.get("comp"):
            case "PUT", "metadata":
                blob.metadata = _metadata(request)
                self._change(blob)
                return Answer(200, self._headers(blob), kind="set metadata")
            case "HEAD", None:
                return Answer(200, self._properties(blob), length=blob.size or 0, kind="get properties")
            case "GET", None:
                return self._get(request, blob)
            case "DELETE", None:
                del self._blobs[request.path]
                return Answer(202, kind="delete")
            case _:
                pass
        return _error(400, "UnsupportedQueryParameter")

    def _put_block(self, request: Request, blob: _Blob) -> Answer:
        """Stage a block: of the body, or of a range of the blob that `x-ms-copy-source` names."""
        length, crc = request.length, request.crc64
        if address := request.headers.get("x-ms-copy-source"):
            source = self._blobs.get(unquote(urlsplit(address).path), _Blob())
            if source.size is None:
                return _error(404, "CannotVerifyCopySource")
            offset, length = byte_range(request.headers.get("x-ms-source-range"), source.size) or (0, source.size)
            blob.content, crc = source.content, 0
            for piece in source.pieces(offset, length):
                crc = checksums.crc64nvme(piece, crc)
        self._blobs.setdefault(request.path, blob).blocks[request.query["blockid"]] = length
        header = base64.b64encode(crc.to_bytes(8, "little")).decode()
        proved = {} if "content-md5" in request.headers else {"x-ms-content-crc64": header}
        return Answer(201, self._headers(blob) | proved, kind="put block from url" if address else "put block")

    def _write(self, request: Request, blob: _Blob, size: int, kind: str) -> Answer:
        """Commit a blob of `size` bytes, unless there is one and the request says that there mustn't be."""
        if blob.size is not None and request.headers.get("if-none-match") == "*":
            return _error(409, "BlobAlreadyExists")
        blob.size, blob.blocks, blob.metadata = size, {}, _metadata(request)
        blob.content_type = request.headers.get("x-ms-blob-content-type", blob.content_type)
        if kind == "put blob" and size <= _KEPT_BYTES:
            blob.content = request.body
        elif blob.content is None:
            blob.content = filler(request.path)
        self._blobs[request.path] = blob
        self._change(blob)
        return Answer(201, self._headers(blob), kind=kind)

    def _block_list(self, blob: _Blob) -> Answer:
        if blob.size is None and not blob.blocks:
            return _error(404, "BlobNotFound")
        blocks = "".join(f"<Block><Name>{name}</Name><Size>{size}</Size></Block>" for name, size in blob.blocks.items())
        listed = f"<BlockList><CommittedBlocks /><UncommittedBlocks>{blocks}</UncommittedBlocks></BlockList>"
        return _xml(listed, "get block list", self._headers(blob))

    def _list(self, request: Request) -> Answer:
        """List the blobs of a container in the order of their names, in one page, or their folders by a delimiter."""
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter")
        container = f"{request.path.rstrip('/')}/"
        entries: dict[str, str] = {}
        for path, blob in sorted(self._blobs.items()):
            name = path.removeprefix(container)
            if blob.size is None or name == path or not name.startswith(prefix):
                continue
            if delimiter and delimiter in name[len(prefix) :]:
                folder = f"{prefix}{name[len(prefix) :].partition(delimiter)[0]}{delimiter}"
                entries[folder] = f"<BlobPrefix><Name>{escape(folder)}</Name></BlobPrefix>"
            else:
                entries[name] = _entry(name, blob)
        listed = "".join(entries.values())
        return _xml(
            f"<EnumerationResults><Blobs>{listed}</Blobs><NextMarker /></EnumerationResults>",
            "list",
            self._headers(_Blob()),
        )

    def _delete_each(self, request: Request) -> Answer:
        """Delete the blobs of a batch."""
        parts: list[str] = []
        for number, target in enumerate(_DELETED.findall(request.body.decode())):
            path = unquote(urlsplit(target).path)
            found = self._blobs.pop(path if path in self._blobs else f"/{ACCOUNT}{path}", None)
            status = "202 Accepted" if found else "404 Not Found"
            parts.append(
                f"--batch\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {status}\r\n\r\n"
            )
        body = "".join([*parts, "--batch--\r\n"]).encode()
        return _answer(body, self._headers(_Blob()) | {"Content-Type": "multipart/mixed; boundary=batch"}, "batch", 202)

    def _get(self, request: Request, blob: _Blob) -> Answer:
        """Answer with the bytes that were kept, or with those of the document."""
        size = blob.size or 0
        known = blob.content.size if isinstance(blob.content, Filler) else len(blob.content or b"")
        if known != size:
            return _error(404, "BlobNotFound")
        part = byte_range(request.headers.get("x-ms-range") or request.headers.get("range"), size)
        offset, length = part or (0, size)
        if offset >= size and part:
            return _error(416, "InvalidRange")
        headers = self._properties(blob)
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
        return Answer(206 if part else 200, headers, blob.pieces(offset, length), length, kind="get blob")

    def _change(self, blob: _Blob) -> None:
        self._changes += 1
        blob.etag = f'"0x{self._changes:015X}"'
        blob.written_at = time.time()

    def _properties(self, blob: _Blob) -> dict[str, str]:
        metadata = {_META + name: value for name, value in blob.metadata.items()}
        properties = {"x-ms-blob-type": "BlockBlob", "Accept-Ranges": "bytes", "Content-Type": blob.content_type}
        return self._headers(blob) | properties | metadata

    def _headers(self, blob: _Blob) -> dict[str, str]:
        headers = {
            "x-ms-version": "2021-12-02",
            "Date": formatdate(usegmt=True),
            "Last-Modified": formatdate(blob.written_at, usegmt=True),
        }
        return headers | {"x-ms-request-server-encrypted": "true"} | ({"ETag": blob.etag} if blob.etag else {})


def _entry(name: str, blob: _Blob) -> str:
    """Write one blob of a list."""
    metadata = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in blob.metadata.items())
    properties = (
        f"<Last-Modified>{formatdate(blob.written_at, usegmt=True)}</Last-Modified><Etag>{escape(blob.etag)}</Etag>"
        f"<Content-Length>{blob.size}</Content-Length><Content-Type>{escape(blob.content_type)}</Content-Type>"
        "<BlobType>BlockBlob</BlobType>"
    )
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties>{properties}</Properties><Metadata>{metadata}</Metadata></Blob>"
    )


def _metadata(request: Request) -> dict[str, str]:
    found = request.headers.items()
    return {name.removeprefix(_META): value for name, value in found if name.startswith(_META)}


def _answer(body: bytes, headers: dict[str, str], kind: str, status: int = 200) -> Answer:
    return Answer(status, headers, [body], len(body), kind=kind)


def _xml(text: str, kind: str, headers: dict[str, str], status: int = 200) -> Answer:
    body = f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()
    return _answer(body, headers | {"Content-Type": "application/xml"}, kind, status)


def _error(status: int, code: str) -> Answer:
    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return _xml(text, code, {"x-ms-error-code": code}, status)


if __name__ == "__main__":
    sys.exit(serving.main("Sink", Sink().handler(), sys.argv[1:]))
