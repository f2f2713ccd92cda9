"""Pure: whether the top-level boxes of an MP4 add up to the file.

A box is a 32-bit size and a 4-letter type; size 1 means that a 64-bit size follows, size 0 that
the box runs to the end of the file (ISO/IEC 14496-12, 4.2).
"""

from collections.abc import Generator

from recording.errors import SourceDamaged

HEADER = 16
# A plain MP4 has about four boxes; a fragmented one has two per fragment of some seconds.
MOST_BOXES = 20_000


def walk(size: int) -> Generator[int, bytes, int]:
    """Walk the boxes of a file of `size` bytes; the result is how many there are.

    Yields an offset and is sent up to 16 bytes from there. Raises SourceDamaged if the boxes
    don't end where the file does, or if there's no `moov` box, without which nothing plays.
    """
    offset, count, kinds = 0, 0, set[bytes]()
    while offset < size:
        if count == MOST_BOXES:
            raise SourceDamaged(f"more than {MOST_BOXES} top-level boxes")
        header = yield offset
        if len(header) < 8:
            raise SourceDamaged(f"the file ends inside a box header at byte {offset}")
        length, kind = int.from_bytes(header[:4]), header[4:8]
        smallest = 8
        if length == 1:
            length, smallest = int.from_bytes(header[8:16]), 16
        elif length == 0:
            length = size - offset
        if not all(32 <= letter < 127 for letter in kind) or length < smallest:
            raise SourceDamaged(f"no MP4 box at byte {offset}")
        if offset + length > size:
            raise SourceDamaged(
                f"box {kind.decode()} at byte {offset} has {length} bytes, the file ends after {size - offset}"
            )
        kinds.add(kind)
        offset, count = offset + length, count + 1
    if b"moov" not in kinds:
        raise SourceDamaged("the file has no moov box: it cannot be played")
    return count


class Walker:
    """Feeds the bytes of a file, as they come, to the walk over its boxes."""

    def __init__(self, size: int) -> None:
        self._walk = walk(size)
        self._at = 0
        self._tail = b""
        self._wanted: int | None = None
        self._size = size
        self._problem: str | None = None
        self._step(None)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        # A header, and small boxes behind it, may begin in the piece before: its last bytes are kept.
        held, start = self._tail + piece, self._at - len(self._tail)
        self._at += len(piece)
        while self._wanted is not None:
            end = min(self._wanted + HEADER, self._size)
            if end > self._at:
                break
            self._step(held[self._wanted - start : end - start])
        self._tail = held[1 - HEADER :]

    def problem(self) -> str | None:
        """Say what is wrong with the boxes, once all bytes were fed."""
        return self._problem or ("the file ended early" if self._wanted is not None else None)

    def _step(self, head: bytes | None) -> None:
        try:
            self._wanted = next(self._walk) if head is None else self._walk.send(head)
        except StopIteration:
            self._wanted = None
        except SourceDamaged as damaged:
            self._wanted, self._problem = None, damaged.message
