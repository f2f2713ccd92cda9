"""Azurite is started, answers, keeps or forgets its data, and is ended."""

import asyncio
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.azurite import Azurite
from local.process import ProcessError
from recording import crc64


async def write(azurite: Azurite, data: bytes) -> None:
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        container = await service.create_container("things")
        await container.upload_blob("thing", data)


async def read(azurite: Azurite) -> bytes:
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        download = await service.get_blob_client("things", "thing").download_blob()
        return await download.readall()


async def test_queue(azurite: Azurite) -> None:
    """Azurite keeps a message in a queue."""

    async with QueueServiceClient.from_connection_string(azurite.connection_string) as service:
        queue = await service.create_queue("messages")
        await queue.send_message("hello")

        assert ["hello"] == [message.content async for message in queue.receive_messages()]


async def test_two(azurite: Azurite) -> None:
    """Two of them run side by side, on ports of their own, with data of their own, at the addresses that they give."""

    async with Azurite() as second:
        await write(azurite, b"first")

        assert b"first" == await read(azurite)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/devstoreaccount1", azurite.blob_url)
        assert 4 == len({azurite.blob_url, second.blob_url, azurite.queue_url, second.queue_url})
        with pytest.raises(ResourceNotFoundError):
            await read(second)


async def test_disk(tmp_path: Path) -> None:
    """With a folder the data are there again in the next run; leaving the context leaves the log, and no process."""

    async with Azurite(tmp_path / "data", log=tmp_path / "azurite.log") as azurite:
        await write(azurite, b"kept")
        pid = azurite.pid
        os.kill(pid, 0)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    log = await asyncio.to_thread((tmp_path / "azurite.log").read_text)
    assert "Queue service is successfully listening" in log

    async with Azurite(tmp_path / "data") as azurite:
        assert b"kept" == await read(azurite)


# With what a pattern would read as its own, and neighbours on both sides of a prefix.
ODD = ["a", "a.b/1", "a.b/2", "a.b/2/3", "a.b0", "axb/1", "a(b)/[1]", "a+b", "a^b$", "ä/ö", "b", "a.b/\uffee"]
ODD += ["1", "01", "1e5", "1e5/x"]

PREFIXES = ["a", "a.", "a.b/", "a(b)/[", "a+", "a^b$", "ä/", "1", "1e", "1e5/", "nothing", ""]


async def test_index(azurite: Azurite) -> None:
    """Whatever its name, a blob is listed under its prefixes and no others, until it is deleted; pages are whole.

    What was deleted under one prefix is written again before the next.
    """

    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        container = await service.create_container("index")
        other = await service.create_container("beside-index")
        for name in ODD:
            await other.upload_blob(name, b"another")
        missing = list(ODD)
        for prefix in PREFIXES:
            for name in missing:
                await container.upload_blob(name, name.encode())
            expected = sorted(name for name in ODD if name.startswith(prefix))

            pages = container.list_blobs(name_starts_with=prefix, results_per_page=2).by_page()
            assert (prefix, expected) == (prefix, sorted([blob.name async for page in pages async for blob in page]))
            assert expected == [
                name for name in expected if name.encode() == await (await container.download_blob(name)).readall()
            ]

            for name in expected:
                await container.delete_blob(name)
            left = [blob.name async for blob in container.list_blobs()]
            assert (prefix, sorted(set(ODD) - set(expected))) == (prefix, sorted(left))
            assert len(ODD) == len([blob.name async for blob in other.list_blobs()])
            missing = expected


async def test_a_block_is_answered_with_its_crc64(azurite: Azurite) -> None:
    """Azurite's own code for it is replaced by one that is faster, and that the app's library agrees with."""
    blocks = [os.urandom(length) for length in (0, 1, 7, 8, 9, 100_003)]
    async with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        container = await service.create_container("crc")
        answers = [await container.get_blob_client("thing").stage_block("0", block) for block in blocks]

    assert [crc64.to_bytes(crc64.crc64(block)) for block in blocks] == [answer["content_crc64"] for answer in answers]


async def test_looking_for_a_blob_that_is_missing_costs_no_connection(azurite: Azurite) -> None:
    """An answer without a length makes the client close its connection."""
    url = urlsplit(azurite.blob_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(f"HEAD {url.path}/nothing/there HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    writer.close()

    assert "content-length: 0\r\n" in answer


async def test_not_installed(tmp_path: Path) -> None:
    """Without node_modules the error says what to do."""

    with pytest.raises(ProcessError, match=r"Azurite isn't installed in .*: run `make setup`"):
        async with Azurite(node_modules=tmp_path):
            pass


async def test_no_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Node the error says what to install."""

    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ProcessError, match=r"install Node 18 or later, then run `make setup`"):
        async with Azurite():
            pass


async def test_broken(tmp_path: Path) -> None:
    """When Azurite doesn't start, the error quotes what it said."""

    program = tmp_path / "azurite" / "dist" / "src" / "azurite.js"
    program.parent.mkdir(parents=True)
    program.write_text("console.log('no disk left'); process.exit(3)")
    stubs = {
        "node_modules/lokijs": "module.exports = class { static Resultset = class {}; static Collection = class {} }"
    }
    stubs["table/persistence/LokiTableMetadataStore"] = "exports.default = class {}"
    stubs |= dict.fromkeys(("common/utils/utils", "blob/generated/utils/utils", "queue/generated/utils/utils"), "")
    for name, text in stubs.items():
        stub = program.parent / name / "index.js"
        stub.parent.mkdir(parents=True)
        stub.write_text(text)

    with pytest.raises(ProcessError, match=r"(?s)ended with status 3.*no disk left"):
        async with Azurite(node_modules=tmp_path):
            pass
