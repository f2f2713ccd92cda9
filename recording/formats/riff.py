"""Pure: whether the chunks of a WAV file add up to the file.

It begins with `RIFF`, the length of what follows, and `WAVE`; then come RIFF chunks: 4 letters, a
32-bit length, as many bytes, and one more where that is odd (Multimedia Programming Interface and
Data Specifications 1.0, chapter 2). A RIFF chunk is no chunk of a recording.
"""

from collections.abc import Generator

from recording.errors import SourceDamaged

MAGIC, FORM = b"RIFF", b"WAVE"
# A recorder writes three or four.
MOST_CHUNKS = 1_000
# A writer that can't go back to the file's start leaves its lengths like this: to the end.
_UNTOLD = 0xFFFF_FFFF


def walk(size: int) -> Generator[int, bytes, int]:
    """Walk the RIFF chunks of a file of `size` bytes; the result is how many there are.

    Yields an offset and is sent up to 16 bytes from there. Raises SourceDamaged if they don't end
    where the file does, or if `fmt ` or `data` isn't there, without which nothing plays.
    """
    header = yield 0
    if len(header) < 12 or header[:4] != MAGIC or header[8:12] != FORM:
        raise SourceDamaged("no RIFF header of a WAVE file")
    told = int.from_bytes(header[4:8], "little")
    end = size if told == _UNTOLD else 8 + told
    # The byte that fills up an odd length isn't counted by every writer.
    if size not in (end, end + (end & 1)):
        raise SourceDamaged(f"the RIFF header tells of {end} bytes, the file has {size}")
    offset, count, kinds = 12, 0, set[bytes]()
    while offset < end:
        if count == MOST_CHUNKS:
            raise SourceDamaged(f"more than {MOST_CHUNKS} RIFF chunks")
        header = yield offset
        if len(header) < 8 or not all(32 <= letter < 127 for letter in header[:4]):
            raise SourceDamaged(f"no RIFF chunk at byte {offset}")
        kind, length = header[:4], int.from_bytes(header[4:8], "little")
        if length == _UNTOLD and end == size:
            length = end - offset - 8
        if offset + 8 + length > end:
            left = end - offset - 8
            raise SourceDamaged(f"RIFF chunk {kind.decode()!r} at byte {offset} has {length} bytes, {left} are left")
        kinds.add(kind)
        offset, count = offset + 8 + length + (length & 1), count + 1
    if missing := {b"fmt ", b"data"} - kinds:
        raise SourceDamaged(f"the file has no {' and no '.join(repr(k.decode()) for k in sorted(missing))} chunk")
    return count
