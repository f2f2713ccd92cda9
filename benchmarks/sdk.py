"""What a user would write with the official clients: three ways, each as good as its kind can be.

azure-communication-callautomation 1.6.0 downloads from Microsoft's hosts by https only
(docs/acs-contract.md#storage-host). Its check is replaced here, and nowhere else, so that it can be measured against a
source on this machine.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from azure.communication.callautomation import CallAutomationClient, _content_downloader
from azure.communication.callautomation.aio import CallAutomationClient as AsyncCallAutomationClient
from azure.communication.callautomation.aio import _content_downloader_async
from azure.storage.blob import BlobBlock, ContainerClient
from azure.storage.blob.aio import ContainerClient as AsyncContainerClient

from benchmarks.place import Place

Step = Callable[[str], Awaitable[None]]

# As many streams as ours has, and blocks of the size that served best in the design's measurements.
STREAMS = 8
_MIB = 1024 * 1024
_BLOCK_BYTES = 32 * _MIB
_READ_BYTES = _MIB
# The modules that check which host a recording is downloaded from.
CHECKED = (_content_downloader, _content_downloader_async)


def allow_any_host() -> None:
    """Replace the client's check of the host that it downloads from."""
    for module in CHECKED:
        setattr(module, "validate_recording_url", lambda *_: None)  # noqa: B010 - mypy: not exported


@asynccontextmanager
async def read_then_upload(place: Place) -> AsyncIterator[Sequence[Step]]:
    """Do as the quickstart does: `read()` all of it, then `upload_blob`."""
    client = CallAutomationClient.from_connection_string(place.acs_connection_string)
    container = ContainerClient.from_connection_string(place.storage_connection_string, place.container)

    def copy(document: str) -> None:
        response: Any = client.download_recording(place.content_url(document))
        container.upload_blob(place.blob(document), response.read(), overwrite=True)

    with client, container:
        yield [lambda document: asyncio.to_thread(copy, document)]


@asynccontextmanager
async def stream_into_upload(place: Place) -> AsyncIterator[Sequence[Step]]:
    """Hand the response's stream to `upload_blob`, everything at its defaults."""
    client = CallAutomationClient.from_connection_string(place.acs_connection_string)
    container = ContainerClient.from_connection_string(place.storage_connection_string, place.container)

    def copy(document: str) -> None:
        response: Any = client.download_recording(place.content_url(document))
        container.upload_blob(place.blob(document), response.iter_bytes(), overwrite=True)

    with client, container:
        yield [lambda document: asyncio.to_thread(copy, document)]


@asynccontextmanager
async def tuned_pieces(place: Place) -> AsyncIterator[Sequence[Step]]:
    """Run eight ranges at once, each streamed into a block of 32 MiB, then commit.

    Everything that the clients' options and the way of calling them can give: large reads instead of 4 KiB, and the
    range in a header of our own, for the client leaves it out at offset 0 (docs/measurements.md#sdk-ranges).
    """
    client = AsyncCallAutomationClient.from_connection_string(
        place.acs_connection_string, connection_data_block_size=_READ_BYTES
    )
    container = AsyncContainerClient.from_connection_string(place.storage_connection_string, place.container)

    async def fetch(document: str, first: int, last: int) -> Any:
        headers = {"Range": f"bytes={first}-{last}"}
        return await client.download_recording(place.content_url(document), headers=headers)

    async def copy(document: str) -> None:
        head = await fetch(document, 0, 0)
        size = int(head.headers["Content-Range"].rpartition("/")[2])
        await head.close()
        blob = container.get_blob_client(place.blob(document))
        offsets = range(0, size, min(_BLOCK_BYTES, max(4 * _MIB, -(-size // STREAMS))))
        waiting = iter(enumerate(offsets))

        async def stream() -> None:
            for index, offset in waiting:
                length = min(offsets.step, size - offset)
                response = await fetch(document, offset, offset + length - 1)
                await blob.stage_block(f"{index:06}", response.iter_raw(), length=length)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(STREAMS, len(offsets))):
                group.create_task(stream())
        await blob.commit_block_list([BlobBlock(f"{index:06}") for index in range(len(offsets))])

    async with client, container:
        yield [copy]
