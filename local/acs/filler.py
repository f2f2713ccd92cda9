"""Deterministic filler media: a well-formed MP4 of any size that takes no memory.

The boxes add up exactly to the size, so that a reader that walks them is satisfied; the payload
is a pattern of prime period, so that a block copied to the wrong place shows in every digest.
"""

import random
import struct
from functools import cache

_BRAND = b"isom"
_PERIOD = 1_048_573  # The largest prime below 2^20: no power-of-two block size repeats on it.
_LARGE = 2**32 - 1  # ISO/IEC 14496-12: beyond this a box carries a 64-bit size.
_FTYP = struct.pack(">I4s4sI4s4s4s", 28, b"ftyp", _BRAND, 512, _BRAND, b"iso2", b"mp41")
_MVHD = struct.pack(">I4s4xIIIIIH10x36s24xI", 108, b"mvhd", 0, 0, 1000, 0, 0x00010000, 0x0100, b"\0" * 36, 1)
_HEAD = _FTYP + struct.pack(">I4s", 8 + len(_MVHD), b"moov") + _MVHD

MINIMUM_BYTES = len(_HEAD) + 8


@cache
def _pattern() -> memoryview:
    # Twice the period, so that any piece up to one period long is one slice and no copy.
    once = random.Random(_PERIOD).randbytes(_PERIOD)  # noqa: S311 - a test pattern, not a secret
    return memoryview(once + once)


class Filler:
    """Filler content of one size; the seed shifts the pattern, so chunks differ."""

    def __init__(self, size: int, *, seed: int) -> None:
        """Lay out the boxes; raise ValueError if they do not fit into ``size`` bytes."""
        if size < MINIMUM_BYTES:
            raise ValueError(f"filler needs at least {MINIMUM_BYTES} bytes, not {size}")
        payload = size - len(_HEAD)
        large = payload > _LARGE
        mdat = struct.pack(">I4sQ", 1, b"mdat", payload) if large else struct.pack(">I4s", payload, b"mdat")
        self.size = size
        self._head = _HEAD + mdat
        self._shift = seed % _PERIOD

    def pieces(self, offset: int, length: int) -> list[bytes | memoryview]:
        """Return the bytes ``offset .. offset+length``, cut at the end, as slices without copies."""
        end = min(offset + length, self.size)
        pieces: list[bytes | memoryview] = []
        if offset < len(self._head):
            pieces.append(self._head[offset:end])
            offset = len(self._head)
        while offset < end:
            start = (offset + self._shift) % _PERIOD
            step = min(_PERIOD, end - offset)
            pieces.append(_pattern()[start : start + step])
            offset += step
        return pieces
