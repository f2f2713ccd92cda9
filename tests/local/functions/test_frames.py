"""Messages between host and worker survive the socket."""

import asyncio
from typing import Any

import pytest

from local.functions import frames


async def read_all(data: bytes) -> list[dict[str, Any] | None]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    messages = [await frames.read(reader)]
    while messages[-1] is not None:
        messages.append(await frames.read(reader))
    return messages


async def test_round_trip() -> None:
    """JSON values and byte strings come back as they were, also where a header looks like a byte string's mark."""
    message = {"a": [1, "ä", None, {"x": b"\x00\xff"}], "b": b"", "headers": {"$bytes": "0"}, "c": b"123"}

    assert [message, {"n": 1}, None] == await read_all(frames.encode(message) + frames.encode({"n": 1}))


async def test_cut() -> None:
    """A frame that breaks off is the end of the conversation."""

    assert await read_all(frames.encode({"a": b"12345"})[:-1]) == [None]


def test_unknown_value() -> None:
    """A value that isn't JSON can't be sent."""

    with pytest.raises(TypeError, match="set can't be sent"):
        frames.encode({"a": {1}})
