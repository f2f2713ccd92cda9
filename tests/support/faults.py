"""Blob Storage that fails, hangs or ends the process at a chosen call."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from recording.config.settings import Settings
from recording.model.stored import Container, StoredBlob
from recording.storage.blobs import Blobs

_WRITES = (
    "create",
    "replace",
    "delete",
    "stage_block",
    "stage_bytes",
    "stage_range",
    "put_chunk",
    "commit_blocks",
    "set_metadata",
    "copy_to_archive",
    "copy_to_derived",
    "set_hold",
    "set_policy",
)
_READS = ("create_containers", "read", "read_part", "stat", "folders", "staged_blocks")
_STREAMS = ("list_blobs", "read_ranges")


class Killed(BaseException):
    """The process is gone."""


@dataclass
class _Rule:
    method: str
    name: str
    hangs: float
    raises: BaseException | type[BaseException] | None
    before: Callable[[], Awaitable[object]] | None
    after: Callable[[], Awaitable[object]] | None
    changes: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]] | None
    reads: Callable[[bytes], bytes] | None
    times: int | None

    def matches(self, method: str, path: str) -> bool:
        if self.times == 0 or self.method != method or not re.search(self.name, path):
            return False
        self.times = None if self.times is None else self.times - 1
        return True


class FaultyBlobs(Blobs):
    """A client of Blob Storage whose process is killed after its n-th write, and that follows rules."""

    def __init__(self, settings: Settings, *, kill_after: int | None = None) -> None:
        super().__init__(settings)
        self._left = kill_after
        self._rules: list[_Rule] = []

    def on(
        self,
        method: str,
        *,
        name: str = "",
        hangs: float = 0.0,
        raises: BaseException | type[BaseException] | None = None,
        before: Callable[[], Awaitable[object]] | None = None,
        after: Callable[[], Awaitable[object]] | None = None,
        changes: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]] | None = None,
        reads: Callable[[bytes], bytes] | None = None,
        times: int | None = None,
    ) -> Self:
        """Add a rule for calls of a method; `name` is a pattern for `container/blob`, or what else names the blob.

        A call sleeps (`hangs`), does something before, raises or is done, and does something after that. `changes`
        gets the body of `stage_block` and returns what is sent instead, `reads` each piece of `read_ranges`, and
        returns what is read instead.
        """
        assert method in (*_WRITES, *_READS, *_STREAMS)
        assert changes is None or method == "stage_block"
        self._rules.append(_Rule(method, name, hangs, raises, before, after, changes, reads, times))
        return self

    async def delete_each(self, where: Container, blobs: Iterable[StoredBlob]) -> None:
        """Delete blobs one by one: a process may be killed when storage has deleted any of them."""
        for blob in blobs:
            await self.delete(where, blob.name, etag=blob.etag)

    def _matching(self, method: str, arguments: tuple[object, ...]) -> list[_Rule]:
        parts = (one.name if isinstance(one, StoredBlob) else one for one in arguments)
        path = "/".join(part for part in parts if isinstance(part, str))
        return [rule for rule in self._rules if rule.matches(method, path)]

    async def _call(self, method: str, arguments: tuple[Any, ...], call: Callable[..., Awaitable[Any]]) -> Any:
        if self._left is None or method not in _WRITES:
            return await self._follow(self._matching(method, arguments), arguments, call)
        self._left -= 1
        if self._left < 0:
            raise Killed
        answer = await self._follow(self._matching(method, arguments), arguments, call)
        if self._left <= 0:
            raise Killed
        return answer

    async def _follow(self, rules: list[_Rule], arguments: tuple[Any, ...], call: Callable[..., Awaitable[Any]]) -> Any:
        await _begin(rules)
        for rule in rules:
            if rule.changes:
                arguments = tuple(rule.changes(one) if isinstance(one, AsyncIterator) else one for one in arguments)
        answer = await call(*arguments)
        for rule in rules:
            if rule.after:
                await rule.after()
        return answer

    async def _stream(
        self, method: str, arguments: tuple[object, ...], call: Callable[[], AsyncGenerator[Any]]
    ) -> AsyncIterator[Any]:
        rules = self._matching(method, arguments)
        await _begin(rules)
        async with aclosing(call()) as items:
            async for item in items:
                yield next((rule.reads(item) for rule in rules if rule.reads), item)


async def _begin(rules: list[_Rule]) -> None:
    for rule in rules:
        if rule.hangs:
            await asyncio.sleep(rule.hangs)
        if rule.before:
            await rule.before()
        if rule.raises:
            raise rule.raises


def _called(method: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: FaultyBlobs, *arguments: Any, **options: Any) -> Any:
        return await self._call(method, arguments, partial(getattr(Blobs, method), self, **options))

    return call


def _streamed(method: str) -> Callable[..., AsyncIterator[Any]]:
    def stream(self: FaultyBlobs, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        return self._stream(method, arguments, partial(getattr(Blobs, method), self, *arguments, **options))

    return stream


for _name in (*_WRITES, *_READS):
    setattr(FaultyBlobs, _name, _called(_name))
for _name in _STREAMS:
    setattr(FaultyBlobs, _name, _streamed(_name))
