"""A document, and servers that serve it."""

import re
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from recording.acs.content import Probe
from recording.model.job import ChunkJob
from tests.support.samples import KEY

MIB = 1024 * 1024
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
VERSION = "?api-version=2021-04-15-preview1"
# Starts like an MP4; after that every byte differs from its neighbours.
MEDIA = b"\0\0\0\x18ftypisom" + bytes(range(256)) * 40
PROBE = Probe(len(MEDIA), "mp4", f'"v1"|{len(MEDIA)}', '"v1"', takes_ranges=True, head=MEDIA[:16])
JOB = ChunkJob(recording_key=KEY, document_id=DOCUMENT, index=0, announced_at=datetime(2021, 7, 27, tzinfo=UTC))
VIDEO = {"Content-Type": "video/mp4", "ETag": '"v1"'}


async def ranged(request: web.Request) -> web.StreamResponse:
    """Serve MEDIA as a server with ranges does."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
    if not match:
        return web.Response(body=MEDIA, headers=VIDEO)
    first, last = int(match[1]), min(int(match[2]), len(MEDIA) - 1)
    span = {"Content-Range": f"bytes {first}-{last}/{len(MEDIA)}"}
    return web.Response(status=206, body=MEDIA[first : last + 1], headers={**VIDEO, **span})


async def whole(request: web.Request) -> web.StreamResponse:
    """Serve MEDIA as a server does that ignores ranges."""
    return web.Response(body=MEDIA, headers=VIDEO)


def job_of(chunk: Any) -> ChunkJob:
    """Make the job of an emulator's chunk."""
    return JOB.model_copy(update={"document_id": chunk["documentId"]})
