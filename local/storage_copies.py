"""Server-side copies that stay pending, fail or are aborted: those of Azurite itself are complete at once.

As in the service, a blob whose copy is pending rejects writes (409 PendingCopyOperation), and one whose copy failed or
was aborted has all of its metadata and only a part of its content.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate

from azure.storage.blob.aio import BlobServiceClient
from multidict import CIMultiDict

from local.storage_faults import COPY_KINDS, StorageCall, StorageRule

_BUFFER_BYTES = 4 * 1024 * 1024
_REPLACES = ("PutBlob", "PutBlockList", "CopyBlob", "DeleteBlob", "SetBlobProperties")
_WRITES = (*_REPLACES, "PutBlock", "SetBlobMetadata", "LeaseBlob")


@dataclass
class _Copy:
    copy_id: str
    source: str
    total: int
    kept: int
    outcome: str
    polls_left: int

    @property
    def is_pending(self) -> bool:
        return self.polls_left > 0


class Copies:
    """Keep track of the copies that are made to go wrong, by the path of the target blob."""

    def __init__(self, connection_string: str) -> None:
        self._service = BlobServiceClient.from_connection_string(connection_string)
        self._copies: dict[str, _Copy] = {}
        self._passing: Counter[str] = Counter()
        self._alone: set[str] = set()
        self._changed = asyncio.Condition()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.close()

    def is_pending(self, call: StorageCall) -> bool:
        """Return whether a call is a write to a blob whose copy is pending."""
        copy = self._copies.get(call.path)
        return copy is not None and copy.is_pending and call.operation in _WRITES

    @asynccontextmanager
    async def passing(self, call: StorageCall, *, is_alone: bool) -> AsyncIterator[None]:
        """Run the calls for a blob concurrently, but a copy that is made to fail alone.

        Azurite's copy is complete at once, and such a copy never is: no other call may see it before it is cut.
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

    async def abort(self, call: StorageCall, copy_id: str) -> bool:
        """Abort a pending copy; return False if there is none with this id."""
        copy = self._copies.get(call.path)
        if call.operation != "AbortCopyBlob" or copy is None or not copy.is_pending or copy.copy_id != copy_id:
            return False
        await self._shorten(call.path, 0)
        copy.kept, copy.outcome, copy.polls_left = 0, "aborted", 0
        return True

    async def touch(
        self, call: StorageCall, status: int, headers: "CIMultiDict[str]", *, rule: StorageRule | None, source: str
    ) -> None:
        """Change what Azurite answers: start the copy that a rule applies to, or report its status."""
        if status >= 300:
            return
        if call.operation in _REPLACES:
            self._copies.pop(call.path, None)
        if call.operation == "CopyBlob" and rule is not None and rule.kind in COPY_KINDS:
            await self._begin(call.path, headers, rule, source=source)
        elif call.operation in ("GetBlob", "GetBlobProperties") and call.path in self._copies:
            self._report(call.path, headers)

    async def _begin(self, path: str, headers: "CIMultiDict[str]", rule: StorageRule, *, source: str) -> None:
        container, name = path.strip("/").split("/", 2)[1:]
        total = (await self._service.get_blob_client(container, name).get_blob_properties()).size
        outcome, kept = "success", total
        if rule.kind == "failedCopy":
            outcome, kept = rule.copy_status, min(rule.after_bytes or 0, total)
            headers["ETag"] = await self._shorten(path, kept)
        headers["x-ms-copy-status"] = "pending"
        # The signature of the source isn't returned, as in the service.
        bare = source.partition("?")[0]
        self._copies[path] = _Copy(headers.get("x-ms-copy-id", ""), bare, total, kept, outcome, rule.polls)

    def _report(self, path: str, headers: "CIMultiDict[str]") -> None:
        copy = self._copies[path]
        headers["x-ms-copy-id"] = copy.copy_id
        headers["x-ms-copy-source"] = copy.source
        if copy.is_pending:
            copy.polls_left -= 1
            headers["x-ms-copy-status"] = "pending"
            headers["x-ms-copy-progress"] = f"{copy.kept if copy.outcome != 'success' else 0}/{copy.total}"
            headers.popall("x-ms-copy-completion-time", None)
            return
        headers["x-ms-copy-status"] = copy.outcome
        headers["x-ms-copy-progress"] = f"{copy.kept}/{copy.total}"
        headers["x-ms-copy-completion-time"] = formatdate(usegmt=True)
        if copy.outcome == "failed":
            headers["x-ms-copy-status-description"] = '500 InternalServerError "Copy failed."'

    async def _shorten(self, path: str, kept: int) -> str:
        """Replace a blob by its first bytes, keeping its metadata; return the new ETag."""
        container, name = path.strip("/").split("/", 2)[1:]
        blob = self._service.get_blob_client(container, name)
        found = await blob.get_blob_properties()
        # The MD5 of the whole content would be rejected for a part of it.
        found.content_settings.content_md5 = None
        head = b""
        if kept:
            head = await (await blob.download_blob(offset=0, length=min(kept, _BUFFER_BYTES))).readall()
        done = await blob.upload_blob(
            head, overwrite=True, metadata=found.metadata, content_settings=found.content_settings
        )
        return str(done["etag"])
