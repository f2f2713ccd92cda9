"""The protocol between host and worker: messages in length-prefixed frames over a socket.

A frame is two lengths (header: 4 bytes, byte strings: 8 bytes), the header as UTF-8 JSON, then the byte strings of the
message one after another. Byte strings are kept out of the JSON so that a request body of 100 MB is neither escaped nor
parsed; in the header each is `{"$bytes": [offset, length]}`.
"""

import asyncio
import json
import struct
from typing import Any

_LENGTHS = struct.Struct("!IQ")
MAXIMUM_BYTES = 2**31
"""More than the limit of the real host (gRPC: int.MaxValue); a longer frame means that the stream is corrupt."""


def encode(message: dict[str, Any]) -> bytes:
    """Encode a message of JSON values and byte strings as a frame."""
    parts: list[bytes] = []
    size = 0

    def keep(value: object) -> object:
        nonlocal size
        if not isinstance(value, bytes):
            raise TypeError(f"{type(value).__name__} can't be sent between host and worker")
        parts.append(value)
        size += len(value)
        return {"$bytes": [size - len(value), len(value)]}

    header = json.dumps(message, default=keep).encode()
    return b"".join([_LENGTHS.pack(len(header), size), header, *parts])


async def read(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Read the next message; return None when the connection is closed."""
    try:
        header_length, size = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        if header_length > MAXIMUM_BYTES or size > MAXIMUM_BYTES:
            return None
        header = await reader.readexactly(header_length)
        parts = await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None

    def restore(value: dict[str, Any]) -> object:
        match value:
            case {"$bytes": [int(offset), int(length)]} if len(value) == 1:
                return parts[offset : offset + length]
        return value

    message: dict[str, Any] = json.loads(header, object_hook=restore)
    return message
