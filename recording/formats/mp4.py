"""Pure: whether the top-level boxes of an MP4 add up to the file.

A box is a 32-bit size and a 4-letter type; size 1 means that a 64-bit size follows, size 0 that
the box runs to the end of the file (ISO/IEC 14496-12, 4.2).
"""

from collections.abc import Generator

from recording.errors import SourceDamaged

# What such a file may begin with; all but old ones begin with `ftyp`.
FIRST_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide"})
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
