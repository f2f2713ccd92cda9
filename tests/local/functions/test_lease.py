"""A lease is held by one host at a time."""

from azure.storage.blob.aio import BlobServiceClient

from local.functions.lease import Lease


async def test_one_holder(storage: str) -> None:
    """A second host gets the lease only after the first has released it."""
    async with BlobServiceClient.from_connection_string(storage) as blobs:
        first, second = (Lease(blobs, name="locks/test/one", on_lost=lambda: None) for _ in range(2))

        assert [await first.acquire(), await second.acquire()] == [True, False]
        await first.release()
        assert [await second.acquire(), await first.acquire()] == [True, False]
        await second.release()
