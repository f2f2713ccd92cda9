"""Clients of the host for Queue and Blob Storage, one per connection setting."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.functions.errors import StartError

HOST_STORAGE = "AzureWebJobsStorage"

# The storage SDK waits 15 seconds before its first retry, which is too long on loopback.
# Without the environment's settings, for which aiohttp would look in a file before each request.
_OPTIONS: dict[str, Any] = {
    "initial_backoff": 1,
    "increment_base": 2,
    "retry_total": 2,
    "use_env_settings": False,
}


class Storage:
    """Open clients on demand and close them together; used with `async with`."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._queues: dict[str, QueueServiceClient] = {}
        self._blobs: BlobServiceClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def queue(self, name: str, *, connection: str) -> QueueClient:
        """Return the client of a queue; raises StartError when the connection isn't set."""
        setting = connection or HOST_STORAGE
        if setting not in self._queues:
            client = QueueServiceClient.from_connection_string(self._connection(setting), **_OPTIONS)
            self._queues[setting] = await self._stack.enter_async_context(client)
        return self._queues[setting].get_queue_client(name)

    async def blobs(self) -> BlobServiceClient:
        """Return the client of the host's account; raises StartError when its connection isn't set."""
        if self._blobs is None:
            client = BlobServiceClient.from_connection_string(self._connection(HOST_STORAGE), **_OPTIONS)
            self._blobs = await self._stack.enter_async_context(client)
        return self._blobs

    def _connection(self, setting: str) -> str:
        # The SDK of the host looks up the name with the prefix first.
        value = self._settings.get(f"AzureWebJobs{setting}") or self._settings.get(setting)
        if not value:
            raise StartError(f"The setting {setting} isn't set; it must be the connection string of a storage account")
        return value
