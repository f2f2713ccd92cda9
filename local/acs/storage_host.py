"""Routes of the storage host: content, metadata and deletion of a document of the Call Automation API.

The same routes serve two ports: the storage host that an event's locations name, and the host of its region.
Its application answers errors without a body, and no answer depends on an api-version.

See docs/acs-contract.md#storage-host.
"""

import re

from aiohttp import web
from yarl import URL

from local.acs.contents import BytesContent, Content
from local.acs.downloads import serve
from local.acs.entities import Chunk
from local.acs.errors import BadRequest, NotFound
from local.acs.locations import METADATA_VIEW, OBJECTS, view
from local.acs.service import Service

_OBJECT = OBJECTS + "/{documentId}"
_DOCUMENT_ID = re.compile(r"0-[a-z]+-d\d+-[0-9a-f]{32}", re.ASCII)


def routes(service: Service) -> list[web.RouteDef]:
    """Return the routes; a download may be redirected to the region, a deletion never is."""

    async def download(request: web.Request) -> web.StreamResponse:
        if service.settings.redirect_to_region and _port(request) != URL(service.hosts.region).port:
            return web.Response(status=302, headers={"Location": service.hosts.region + request.raw_path})
        chunk = _find(request, service)
        content: Content
        wanted = request.match_info["view"]
        if wanted == view(chunk):
            content, etag = chunk.content, chunk.etag
        elif wanted == METADATA_VIEW:
            content, etag = BytesContent(chunk.metadata), chunk.etag.replace("0x", "0xM")
        else:
            raise NotFound("The document has no such view.", target="view")
        return await serve(request, content, content_type="application/octet-stream", etag=etag)

    async def delete(request: web.Request) -> web.StreamResponse:
        service.delete_document(_find(request, service).document_id)
        # The official client treats an answer with a content type as an error (docs/acs-contract.md#storage-host).
        return web.Response()

    return [
        web.get(_OBJECT + "/content/{view}", download, allow_head=False),
        web.delete(_OBJECT, delete),
    ]


def _find(request: web.Request, service: Service) -> Chunk:
    document_id = request.match_info["documentId"]
    if not _DOCUMENT_ID.fullmatch(document_id):
        raise BadRequest("The document id is malformed.", target="documentId")
    return service.document(document_id, generation="today")


def _port(request: web.Request) -> int | None:
    # A client may send the ACS resource's name as Host (docs/acs-contract.md#storage-host), so the port is that of
    # the socket.
    address = request.transport and request.transport.get_extra_info("sockname")
    return address[1] if address else None
