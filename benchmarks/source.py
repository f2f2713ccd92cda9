"""The source: the download route of ACS with filler content, shaped (docs/acs-contract.md#2021-download).

The emulator in `local/acs` checks signatures, keeps a journal and injects faults, which costs CPU that belongs to the
contenders here; the bytes are the same filler.
"""

import sys

from benchmarks import serving
from benchmarks.document import filler
from benchmarks.wire import Answer, Handler, Request, byte_range

_METADATA = b'{"resourceId": "bench"}'


def handler() -> Handler:
    """Return what the source does."""
    return Handler(keeps=lambda _: False, answer=answer)


def answer(request: Request) -> Answer:
    """Answer a GET of a document with 200, 206 or 404."""
    content = filler(request.path)
    if request.method != "GET" or content is None:
        return Answer(404)
    if request.path.endswith("/metadata"):
        return Answer(200, {"Content-Type": "application/json"}, [_METADATA], len(_METADATA), kind="metadata")
    size = content.size
    headers = {"Content-Type": "video/mp4", "ETag": f'"{request.path.rpartition("/")[2]}"'}
    part = byte_range(request.headers.get("range"), size)
    if part is None:
        return Answer(200, headers, content.pieces(0, size), size)
    offset, length = part
    headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
    return Answer(206, headers, content.pieces(offset, length), length)


if __name__ == "__main__":
    sys.exit(serving.main("Source", handler(), sys.argv[1:]))
