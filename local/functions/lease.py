"""A blob lease, which lets only one of several hosts run a timer (docs/functions-host.md#timer)."""

import asyncio
import contextlib
from collections.abc import Callable

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.blob.aio import BlobLeaseClient, BlobServiceClient

from local.functions import log

CONTAINER = "azure-webjobs-hosts"
LEASE_SECONDS = 15
"""The shortest that Blob Storage allows, and what the SDK of the host uses in Development."""


class Lease:
    """Hold a blob's lease and renew it; `on_lost` is called once if it can't be renewed."""

    def __init__(self, blobs: BlobServiceClient, *, name: str, on_lost: Callable[[], None]) -> None:
        self._blob = blobs.get_blob_client(CONTAINER, name)
        self._container = blobs.get_container_client(CONTAINER)
        self._client = BlobLeaseClient(self._blob)
        self._on_lost = on_lost
        self._keeping: asyncio.Task[None] | None = None
        self._refusal = ""

    async def acquire(self) -> bool:
        """Acquire the lease; return False while another host has it or storage can't be reached."""
        try:
            with contextlib.suppress(ResourceExistsError):
                await self._container.create_container()
            with contextlib.suppress(ResourceExistsError):
                await self._blob.upload_blob(b"")
            self._client = BlobLeaseClient(self._blob)
            await self._client.acquire(lease_duration=LEASE_SECONDS)
        except AzureError as error:
            # Logged once, not at every attempt: the lease of a killed host lasts up to 15 seconds.
            if self._refusal != _code(error):
                self._refusal = _code(error)
                log.logger.info(log.line("lease_not_acquired", blob=self._blob.blob_name, reason=self._refusal))
            return False
        self._refusal = ""
        self._keeping = asyncio.create_task(self._keep())
        return True

    async def release(self) -> None:
        """Release the lease, so that another host needn't wait until it expires."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self._keeping = None
        with contextlib.suppress(AzureError):
            await self._client.release()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                async with asyncio.timeout(LEASE_SECONDS / 3):
                    await self._client.renew()
            except (AzureError, TimeoutError) as error:
                log.logger.warning(log.line("lease_lost", blob=self._blob.blob_name, reason=_code(error)))
                self._on_lost()
                return


def _code(error: Exception) -> str:
    return str(getattr(error, "error_code", None) or type(error).__name__)
