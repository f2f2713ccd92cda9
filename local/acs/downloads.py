"""Routes of the download API: content and metadata of a document (docs/acs-contract.md#2021-download).

Conditional headers are ignored: the service documents none, so a client that resumes must compare the ETag itself.
"""

from aiohttp import web

from local.acs import byteranges, errors
from local.acs.contents import BytesContent, Content, ResizedContent
from local.acs.service import Service
from local.acs.transmission import SHAPE, UNCHANGED, transmit

_CACHE = "no-cache, max-age=0, s-maxage=0, private"
_DOWNLOAD = "/{_a:(?i:recording)}/{_b:(?i:download)}/{documentId}"


def routes(service: Service) -> list[web.RouteDef]:
    """Return the two download routes."""

    async def content(request: web.Request) -> web.StreamResponse:
        chunk = service.document(request.match_info["documentId"], generation="2021")
        return await serve(request, chunk.content, content_type="video/mp4", etag=chunk.etag)

    async def metadata(request: web.Request) -> web.StreamResponse:
        chunk = service.document(request.match_info["documentId"], generation="2021")
        etag = chunk.etag.replace("0x", "0xM")
        return await serve(request, BytesContent(chunk.metadata), content_type="application/json", etag=etag)

    return [
        web.get(_DOWNLOAD, content, allow_head=False),
        web.get(_DOWNLOAD + "/{_c:(?i:metadata)}", metadata, allow_head=False),
    ]


async def serve(request: web.Request, content: Content, *, content_type: str, etag: str) -> web.StreamResponse:
    """Answer 200 with everything, 206 with the range asked for, or 416."""
    shape = request.get(SHAPE, UNCHANGED)
    etag = shape.etag or etag
    if shape.size is not None:
        content = ResizedContent(content, shape.size)
    headers = {"Content-Type": shape.content_type or content_type, "ETag": etag, "Cache-Control": _CACHE}
    try:
        part = byteranges.parse(None if shape.ignore_range else request.headers.get("Range"), content.size)
    except byteranges.Unsatisfiable:
        refusal = errors.answer(request, 416, "The range cannot be satisfied.", target="Range")
        refusal.headers["Content-Range"] = f"bytes */{content.size}"
        return refusal
    if part is None:
        return await transmit(request, content, status=200, headers=headers, shape=shape)
    headers["Content-Range"] = part.content_range(content.size)
    return await transmit(
        request, content, status=206, headers=headers, offset=part.offset, length=part.length, shape=shape
    )
