"""A storage proxy with an Azurite behind it, and what its tests need to look at it from both sides."""

import io
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobBlock, BlobSasPermissions, generate_blob_sas
from azure.storage.blob.aio import BlobClient, BlobServiceClient, ContainerClient

from local.azurite import ACCOUNT, KEY, Azurite
from local.storage_proxy import StorageProxy

MIB = 1024 * 1024
_numbers = itertools.count()


def new_name() -> str:
    """Return a name for a container or queue that nobody has used."""
    return f"proxied-{next(_numbers)}"


async def outcome(attempt: Callable[[], Awaitable[Any]]) -> int:
    """Return the status that a call of the client library ends with; 0 if it got no answer."""
    try:
        await attempt()
    except HttpResponseError as error:
        return error.status_code or 0
    except AzureError:
        return 0
    return 200


@dataclass(frozen=True)
class Rig:
    """A container seen through the proxy and directly, and the proxy's control plane."""

    proxy: StorageProxy
    container: ContainerClient
    direct: ContainerClient
    http: aiohttp.ClientSession

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Do one request to the control plane and expect success."""
        async with self.http.request(method, f"{self.proxy.control_url}/{path}", json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json()

    async def fault(self, kind: str, **more: Any) -> None:
        """Add a rule."""
        await self.control("POST", "faults", {"kind": kind, **more})

    async def log(self) -> list[Any]:
        """Return the requests so far."""
        return list((await self.control("GET", "requests"))["requests"])

    async def blocks(self, name: str, *blocks: bytes) -> BlobClient:
        """Upload and commit a blob in blocks."""
        blob = self.container.get_blob_client(name)
        ids = [f"{number:05}" for number in range(len(blocks))]
        for block_id, data in zip(ids, blocks, strict=True):
            await blob.stage_block(block_id, io.BytesIO(data), length=len(data))
        await blob.commit_block_list([BlobBlock(block_id) for block_id in ids], metadata={"proof": "yes"})
        return blob

    async def stored(self, name: str) -> bytes:
        """Read what Azurite really has."""
        return await (await self.direct.download_blob(name)).readall()

    def link(self, blob: BlobClient) -> str:
        """Sign a link to a blob, as the app does for a copy."""
        signature = generate_blob_sas(
            ACCOUNT,
            blob.container_name,
            blob.blob_name,
            account_key=KEY,
            permission=BlobSasPermissions(read=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"{blob.url}?{signature}"


@asynccontextmanager
async def open_rig(azurite: Azurite, *, blob_url: str | None = None) -> AsyncIterator[Rig]:
    """Run a proxy, with a container of its own and clients that don't retry; `blob_url` is another way to Azurite.

    aiohttp still repeats a PUT, GET or DELETE once by itself when the connection is closed without an answer.
    """
    name = new_name()
    async with (
        StorageProxy(blob_url or azurite.blob_url, azurite.queue_url, azurite.table_url) as proxy,
        BlobServiceClient.from_connection_string(proxy.connection_string, retry_total=0) as service,
        BlobServiceClient.from_connection_string(azurite.connection_string, retry_total=0) as direct,
        aiohttp.ClientSession() as http,
    ):
        container = await service.create_container(name)
        rig = Rig(proxy, container, direct.get_container_client(name), http)
        await rig.control("DELETE", "requests")
        yield rig
