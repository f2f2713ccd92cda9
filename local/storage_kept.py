"""Change what Azurite keeps behind its back: storage that has other bytes than it says, or than its source has."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from azure.storage.blob.aio import BlobClient, BlobServiceClient
from multidict import CIMultiDict

from local.faults.body import other_byte
from local.storage_faults import StorageCall, StorageRule

CRC64 = "x-ms-content-crc64"


class Kept:
    """Change stored bytes, and the CRC64 in answers, as a rule says; `changed` has the paths of changed blobs."""

    def __init__(self, connection_string: str) -> None:
        self.changed: set[str] = set()
        self._service = BlobServiceClient.from_connection_string(connection_string, use_env_settings=False)
        self._passing: Counter[str] = Counter()
        self._alone: set[str] = set()
        self._changed = asyncio.Condition()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.close()

    @asynccontextmanager
    async def passing(self, call: StorageCall, *, is_alone: bool) -> AsyncIterator[None]:
        """Run the calls for a blob concurrently, but one whose bytes are changed afterwards alone.

        No other call may see the blob before it is changed.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: call.path not in self._alone)
            if is_alone:
                self._alone.add(call.path)
            else:
                self._passing[call.path] += 1
        try:
            if is_alone:
                async with self._changed:
                    await self._changed.wait_for(lambda: not self._passing[call.path])
            yield
        finally:
            async with self._changed:
                if is_alone:
                    self._alone.discard(call.path)
                else:
                    self._passing[call.path] -= 1
                self._passing += Counter()  # removes zeros
                self._changed.notify_all()

    async def touch(
        self, call: StorageCall, headers: "CIMultiDict[str]", *, rule: StorageRule, asked: Mapping[str, str]
    ) -> None:
        """Change what a request that succeeded has stored, or what is answered; `asked` are the request's headers."""
        match rule.kind:
            case "wrongCrc" if CRC64 in headers:
                headers[CRC64] = base64.b64encode(_changed(base64.b64decode(headers[CRC64]), 0)).decode()
            case "noCrc":
                headers.popall(CRC64, None)
            case "otherBytes":
                await self._change_blob(call.path, headers, offset=rule.offset)
            case "corrupt" if call.operation == "PutBlockFromURL":
                await self._change_block(call, headers, asked=asked, offset=rule.offset)

    async def _change_blob(self, path: str, headers: "CIMultiDict[str]", *, offset: int | None) -> None:
        """Change one byte of a blob; who was told its ETag finds it unchanged, as if the medium had done it."""
        self.changed.add(path)
        blob = self._blob(path)
        found = await blob.get_blob_properties()
        # The MD5 of the right content would be refused.
        found.content_settings.content_md5 = None
        content = await (await blob.download_blob()).readall()
        done = await blob.upload_blob(
            _changed(content, offset), overwrite=True, metadata=found.metadata, content_settings=found.content_settings
        )
        headers["ETag"], headers["Last-Modified"] = done["etag"], format_datetime(done["last_modified"], usegmt=True)

    async def _change_block(
        self, call: StorageCall, headers: "CIMultiDict[str]", *, asked: Mapping[str, str], offset: int | None
    ) -> None:
        """Stage a block from a URL again, with one byte changed and with the CRC64 of that."""
        first, _, last = asked.get("x-ms-source-range", "bytes=0-").removeprefix("bytes=").partition("-")
        length = int(last) - int(first) + 1 if last else None
        source = self._blob(unquote(urlsplit(asked["x-ms-copy-source"]).path))
        content = await (await source.download_blob(offset=int(first), length=length)).readall()
        block_id = base64.b64decode(call.query["blockid"]).decode()
        done = await self._blob(call.path).stage_block(block_id, _changed(content, offset))
        headers.popall("Content-MD5", None)
        headers[CRC64] = base64.b64encode(done["content_crc64"]).decode()

    def _blob(self, path: str) -> BlobClient:
        container, name = path.strip("/").split("/", 2)[1:]
        return self._service.get_blob_client(container, name)


def _changed(content: bytes, offset: int | None) -> bytes:
    """Return bytes of which one, the middle one by default, is another; of none there are none."""
    changed = bytearray(content)
    if changed:
        place = min(len(changed) // 2 if offset is None else offset, len(changed) - 1)
        changed[place] = other_byte(changed[place])
    return bytes(changed)
