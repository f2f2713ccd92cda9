"""Pure: the boxes of an MP4, read from memory and written (ISO/IEC 14496-12, 4.2)."""

from collections.abc import Iterator
from struct import iter_unpack, pack
from typing import NamedTuple, Protocol

_TYPE = slice(4, 8)


class Box(NamedTuple):
    """A box: its type, and where its body begins and ends in the bytes that it was found in."""

    kind: bytes
    body: int
    end: int


class Sized(Protocol):
    """Bytes that are known by their length now, and by their content when they are written."""

    def __len__(self) -> int:
        """Return the number of bytes."""
        ...


# A box, or several: what they consist of, in order.
type Content = list[bytes | Sized]


def header(head: bytes, offset: int, end: int) -> Box | None:
    """Parse the header at `offset` of a file, of which 16 bytes are given; None if it is none.

    A box without a size extends to `end`.
    """
    size, smallest = int.from_bytes(head[:4]), 8
    if size == 1:
        size, smallest = int.from_bytes(head[8:16]), 16
    elif size == 0:
        size = end - offset
    if len(head) < smallest or size < smallest:
        return None
    return Box(bytes(head[_TYPE]), offset + smallest, offset + size)


def children(data: memoryview, begin: int = 0, end: int | None = None) -> Iterator[Box]:
    """List the boxes between two offsets; what is no box, or too long, ends the list."""
    end = len(data) if end is None else end
    while begin + 8 <= end:
        box = header(bytes(data[begin : begin + 16]), begin, end)
        if box is None or box.end > end:
            return
        yield box
        begin = box.end


def child(data: memoryview, *path: bytes, begin: int = 0, end: int | None = None) -> memoryview | None:
    """Return the body of the first box on a path of types; None if there is none."""
    for kind in path:
        found = next((box for box in children(data, begin, end) if box.kind == kind), None)
        if found is None:
            return None
        begin, end = found.body, found.end
    return data[begin:end]


def box(kind: bytes, *content: bytes | Sized | Content) -> Content:
    """Return a box as a list of what it consists of."""
    flat: list[bytes | Sized] = []
    for one in content:
        flat += one if isinstance(one, list) else [one]
    return [pack(">I4s", 8 + sum(len(one) for one in flat), kind), *flat]


def full_box(kind: bytes, *content: bytes | Sized | Content, version: int = 0, flags: int = 0) -> Content:
    """Return a box with version and flags."""
    return box(kind, pack(">I", version << 24 | flags), *content)


def pairs(table: bytes, form: str = ">II") -> Iterator[tuple[int, int]]:
    """List the entries of a table of two numbers."""
    return iter_unpack(form, table)
