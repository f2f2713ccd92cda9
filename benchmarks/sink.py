"""The sink: as much of Blob Storage as an upload needs, and it drops the bytes.

Beside Azurite, whose own ceiling hides the difference between the contenders. What is kept of a blob is its length, its
block list and its metadata; read back, it has the bytes of the document that its name stands for.
"""

import re
import sys
from dataclasses import dataclass, field
from email.utils import formatdate

from benchmarks import serving
from benchmarks.document import filler
from benchmarks.wire import Answer, Handler, Request, byte_range

ACCOUNT = "bench"
_KEY = "Ym90aCBzaWRlcyBrbm93IGl0"
_LISTED = re.compile(r"<(?:Latest|Uncommitted|Committed)>([^<]+)</")
_META = "x-ms-meta-"


@dataclass
class _Blob:
    """What is known of a blob; `size` is None until it is committed."""

    size: int | None = None
    etag: str = ""
    blocks: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


def connection_string(url: str) -> str:
    """Return the connection string of the account at a sink's address."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={_KEY};BlobEndpoint={url}/{ACCOUNT};"
        f"QueueEndpoint={url}/{ACCOUNT}-queue;"
    )


class Sink:
    """The blobs, and the operations on them."""

    def __init__(self) -> None:
        self._blobs: dict[str, _Blob] = {}
        self._changes = 0

    def handler(self) -> Handler:
        """Return what the sink does."""
        return Handler(keeps=lambda request: request.query.get("comp") == "blocklist", answer=self.answer)

    def answer(self, request: Request) -> Answer:
        """Answer one request as Blob Storage does."""
        if request.query.get("restype") == "container":
            return Answer(201 if request.method == "PUT" else 200, self._headers(_Blob()), kind="container")
        blob = self._blobs.get(request.path, _Blob())
        match request.method, request.query.get("comp"):
            case "PUT", "block":
                self._blobs.setdefault(request.path, blob).blocks[request.query["blockid"]] = request.length
                return Answer(201, self._headers(blob), kind="put block")
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

    def _write(self, request: Request, blob: _Blob, size: int, kind: str) -> Answer:
        """Commit a blob of `size` bytes, unless there is one and the request says that there mustn't be."""
        if blob.size is not None and request.headers.get("if-none-match") == "*":
            return _error(409, "BlobAlreadyExists")
        blob.size, blob.blocks, blob.metadata = size, {}, _metadata(request)
        self._blobs[request.path] = blob
        self._change(blob)
        return Answer(201, self._headers(blob), kind=kind)

    def _block_list(self, blob: _Blob) -> Answer:
        if blob.size is None and not blob.blocks:
            return _error(404, "BlobNotFound")
        blocks = "".join(f"<Block><Name>{name}</Name><Size>{size}</Size></Block>" for name, size in blob.blocks.items())
        listed = f"<UncommittedBlocks>{blocks}</UncommittedBlocks>"
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList><CommittedBlocks />{listed}</BlockList>'.encode()
        headers = self._headers(blob) | {"Content-Type": "application/xml"}
        return Answer(200, headers, [body], len(body), kind="get block list")

    def _get(self, request: Request, blob: _Blob) -> Answer:
        """Answer with the bytes of the document that the blob's name stands for."""
        content = filler(request.path)
        if content is None or content.size != blob.size:
            return _error(404, "BlobNotFound")
        part = byte_range(request.headers.get("x-ms-range") or request.headers.get("range"), content.size)
        offset, length = part or (0, content.size)
        headers = self._properties(blob)
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{content.size}"
        return Answer(206 if part else 200, headers, content.pieces(offset, length), length, kind="get blob")

    def _change(self, blob: _Blob) -> None:
        self._changes += 1
        blob.etag = f'"0x{self._changes:015X}"'

    def _properties(self, blob: _Blob) -> dict[str, str]:
        metadata = {_META + name: value for name, value in blob.metadata.items()}
        properties = {"x-ms-blob-type": "BlockBlob", "Accept-Ranges": "bytes", "Content-Type": "video/mp4"}
        return self._headers(blob) | properties | metadata

    def _headers(self, blob: _Blob) -> dict[str, str]:
        headers = {
            "x-ms-version": "2021-12-02",
            "Date": formatdate(usegmt=True),
            "Last-Modified": formatdate(0, usegmt=True),
        }
        return headers | {"x-ms-request-server-encrypted": "true"} | ({"ETag": blob.etag} if blob.etag else {})


def _metadata(request: Request) -> dict[str, str]:
    found = request.headers.items()
    return {name.removeprefix(_META): value for name, value in found if name.startswith(_META)}


def _error(status: int, code: str) -> Answer:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'.encode()
    return Answer(status, {"x-ms-error-code": code, "Content-Type": "application/xml"}, [body], len(body), kind=code)


if __name__ == "__main__":
    sys.exit(serving.main("Sink", Sink().handler(), sys.argv[1:]))
