"""A process that is killed at a chosen write to storage."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from recording.app import App
from recording.model.stored import StoredBlob
from recording.storage.blobs import Blobs


class Killed(BaseException):
    """The process is gone."""


class Dying(Blobs):
    """Storage of a process that is killed after its n-th write; nothing is done after that."""

    def __init__(self, app: App, *, after: int) -> None:
        super().__init__(app.settings)
        self._left = after

    async def _write[Answer](self, write: Callable[[], Awaitable[Answer]]) -> Answer:
        self._left -= 1
        if self._left < 0:
            raise Killed
        answer = await write()
        if self._left <= 0:
            raise Killed
        return answer

    async def create(self, where: Any, name: str, data: bytes, **metadata: str) -> bool:
        return await self._write(lambda: super(Dying, self).create(where, name, data, **metadata))

    async def replace(self, where: Any, name: str, data: bytes, **more: Any) -> bool:
        return await self._write(lambda: super(Dying, self).replace(where, name, data, **more))

    async def delete(self, where: Any, name: str, *, etag: str | None = None) -> None:
        await self._write(lambda: super(Dying, self).delete(where, name, etag=etag))

    async def stage_block(self, name: str, block_id: str, body: AsyncIterator[bytes], *, length: int) -> None:
        await self._write(lambda: super(Dying, self).stage_block(name, block_id, body, length=length))

    async def commit_blocks(self, name: str, block_ids: Sequence[str], metadata: dict[str, str], **more: Any) -> bool:
        return await self._write(lambda: super(Dying, self).commit_blocks(name, block_ids, metadata, **more))

    async def set_metadata(self, name: str, metadata: dict[str, str], *, etag: str) -> None:
        await self._write(lambda: super(Dying, self).set_metadata(name, metadata, etag=etag))

    async def copy_to_archive(self, source: StoredBlob, name: str, **more: Any) -> StoredBlob:
        return await self._write(lambda: super(Dying, self).copy_to_archive(source, name, **more))
