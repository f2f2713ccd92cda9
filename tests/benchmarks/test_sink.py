"""benchmarks/sink.py: as much of Blob Storage as ingest and the archive need, through the official client."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables.aio import TableClient
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import ContainerClient

from benchmarks import sink
from benchmarks.document import document_id, filler
from benchmarks.shaping import NONE
from benchmarks.wire import Server
from recording.crc64 import crc64, to_bytes

SIZE = 5_000_000
NAME = f"chunks/{document_id(SIZE, number=1)}.mp4"

# What the official client does with a body in memory; the sink is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture
async def container() -> AsyncIterator[ContainerClient]:
    """A container in a sink of the test's own."""
    async with Server(sink.Sink().handler(), NONE) as server:
        text = sink.connection_string(server.url)
        async with ContainerClient.from_connection_string(text, "bench") as client:
            await client.create_container()
            yield client


async def test_blocks_become_a_blob(container: ContainerClient) -> None:
    """Staged blocks are listed until they are committed; the blob is as long as they were."""
    blob = container.get_blob_client(NAME)
    with pytest.raises(ResourceNotFoundError):
        await blob.get_block_list("uncommitted")
    answer = await blob.stage_block("000000", bytes(3_000_000))
    assert bytes(answer["content_crc64"]) == to_bytes(crc64(bytes(3_000_000)))
    await blob.stage_block("000001", bytes(2_000_000))
    _, staged = await blob.get_block_list("uncommitted")

    await blob.commit_block_list([BlobBlock("000000"), BlobBlock("000001")], metadata={"source": "here"})

    assert [(one.id, one.size) for one in staged] == [("000000", 3_000_000), ("000001", 2_000_000)]
    found = await blob.get_blob_properties()
    assert (found.size, found.metadata) == (SIZE, {"source": "here"})


async def test_a_blob_is_not_replaced_unasked(container: ContainerClient) -> None:
    """`If-None-Match: *` holds."""
    await container.upload_blob("a", b"one")

    with pytest.raises(ResourceExistsError):
        await container.upload_blob("a", b"three")

    await container.upload_blob("a", b"three", overwrite=True)
    assert (await container.get_blob_client("a").get_blob_properties()).size == 5


async def test_what_is_read_back_is_the_document(container: ContainerClient) -> None:
    """The bytes were dropped; those that come back are the named document's, whole and in ranges."""
    await container.upload_blob(NAME, bytes(SIZE))
    content = filler(NAME)
    assert content is not None

    whole = await (await container.download_blob(NAME)).readall()
    part = await (await container.download_blob(NAME, offset=1000, length=99)).readall()

    assert whole == b"".join(content.pieces(0, SIZE))
    assert part == whole[1000:1099]


async def test_metadata_can_be_set(container: ContainerClient) -> None:
    """Metadata replaces what was there and changes the ETag."""
    blob = container.get_blob_client(NAME)
    await blob.upload_blob(bytes(10))
    before = await blob.get_blob_properties()

    await blob.set_blob_metadata({"sha256": "00"})

    after = await blob.get_blob_properties()
    assert after.metadata == {"sha256": "00"}
    assert after.etag != before.etag


async def test_a_copy_has_the_bytes_of_its_source(container: ContainerClient) -> None:
    """A block from a URL is answered with the CRC64 of its range; the copy is read as the document, by another name."""
    await container.upload_blob(NAME, bytes(SIZE))
    content = filler(NAME)
    assert content is not None
    whole = b"".join(content.pieces(0, SIZE))
    copy = container.get_blob_client("archived/1.mp4")

    address = container.get_blob_client(NAME).url
    first = await copy.stage_block_from_url("000000", address, source_offset=0, source_length=3_000_000)
    await copy.stage_block_from_url("000001", address, source_offset=3_000_000, source_length=2_000_000)
    await copy.commit_block_list([BlobBlock("000000"), BlobBlock("000001")])

    assert bytes(first["content_crc64"]) == to_bytes(crc64(whole[:3_000_000]))
    assert await (await copy.download_blob()).readall() == whole


async def test_what_is_small_is_kept(container: ContainerClient) -> None:
    """A fact is read as it was written, even if a document's id is part of its name."""
    await container.upload_blob(f"{NAME}.json", b'{"a": 1}')

    assert await (await container.download_blob(f"{NAME}.json")).readall() == b'{"a": 1}'


async def test_blobs_are_listed(container: ContainerClient) -> None:
    """A list has names, lengths and metadata below a prefix; with a delimiter it has the folders."""
    for name in ("b/2", "a/1", "b/1"):
        await container.upload_blob(name, b"12", metadata={"name": name.replace("/", "-")})

    listed = [(one.name, one.size, one.metadata) async for one in container.list_blobs("b/", include=["metadata"])]
    folders = [one.name async for one in container.walk_blobs(delimiter="/")]

    assert listed == [("b/1", 2, {"name": "b-1"}), ("b/2", 2, {"name": "b-2"})]
    assert folders == ["a/", "b/"]


async def test_a_batch_deletes(container: ContainerClient) -> None:
    """Each blob of a batch is answered for itself."""
    for name in ("a", "b"):
        await container.upload_blob(name, b"1")

    answers = await container.delete_blobs("a", "none", "b", raise_on_any_failure=False)

    assert [one.status_code async for one in answers] == [202, 404, 202]
    assert [one.name async for one in container.list_blobs()] == []


async def test_it_tells_when_each_blob_was_written() -> None:
    """What waits for a chunk asks afterwards when it was there."""
    async with Server(sink.Sink().handler(), NONE) as server, aiohttp.ClientSession() as http:
        async with http.put(f"{server.url}/bench/c/a", data=b"1", headers={"x-ms-blob-type": "BlockBlob"}) as answer:
            assert answer.status == 201
        async with http.get(f"{server.url}{sink.MOMENTS}") as answer:
            moments = await answer.json()

    assert list(moments) == ["/bench/c/a"]
    assert moments["/bench/c/a"] > 0


async def test_rows_are_accepted() -> None:
    """The app writes rows of its search index one by one, and deletes one."""
    async with Server(sink.Sink().handler(), NONE) as server:
        text = sink.connection_string(server.url)
        async with TableClient.from_connection_string(text, "index") as table:
            row = {"PartitionKey": "month:1", "RowKey": "1"}
            await table.create_entity(row)
            await table.upsert_entity(row)
            await table.delete_entity(row)
