"""Pure: whether a WAV file is complete.

It begins with `RIFF`, the length of what follows, and `WAVE`; then come RIFF chunks: 4 letters, a 32-bit length, as
many bytes, and one more where that is odd (Multimedia Programming Interface and Data Specifications 1.0, chapter 2).
RF64 and BW64 have 64-bit lengths in a chunk `ds64` (EBU Tech 3306). A RIFF chunk is not a chunk of a recording.

The lengths in the headers depend on the writer: one that writes into a pipe can't go back to fill them in.
How players treat this: docs/media.md#wav.
"""

from typing import Literal, NamedTuple

from recording.formats.verdict import Span, Verdict, Walk

# RIFX is RIFF with big-endian numbers.
MAGICS = frozenset({b"RIFF", b"RIFX", b"RF64", b"BW64"})
FORM = b"WAVE"
_HEADER = 8
# The bytes read at a RIFF chunk: its header, and as much of the body as `fmt ` (16) and `ds64` (24) need.
_READ = _HEADER + 24
# 32 bits of ones mean "see ds64", and without one "to the end".
_ALL_ONES = 0xFFFF_FFFF
# Writers that can't fill in a length leave a value near a limit, rounded down to blocks or pages.
_SLACK = 4096

type _Order = Literal["little", "big"]


class _Chunk(NamedTuple):
    kind: bytes
    body: int
    length: int

    @property
    def end(self) -> int:
        return self.body + self.length


def judge(size: int) -> Walk[Verdict]:
    """Judge a file of `size` bytes that begins as a WAV does."""
    header = yield Span(0, 12)
    order: _Order = "big" if header[:4] == b"RIFX" else "little"
    riff_end = 8 + int.from_bytes(header[4:8], order)
    wide_data: int | None = None
    byte_rate = 0
    block: int | None = None
    data: int | None = None
    remarks: list[str] = []
    missing_pads = more_data = 0
    offset, is_odd = 12, False
    while offset < size:
        found = yield Span(offset, 1 + _READ)
        chunk = _chunk(found, offset, order)
        # After an odd length there is a pad byte, which not every writer adds. Usually it is 0, so not a letter.
        if is_odd and (padded := _chunk(found[1:], offset + 1, order)) and (chunk is None or chunk.end > size):
            chunk, found = padded, found[1:]
        elif is_odd and chunk:
            missing_pads += 1
        if chunk is None:
            break
        body = found[_HEADER:]
        match chunk.kind:
            case b"ds64" if chunk.length >= 24:
                wide_data = int.from_bytes(body[8:16], order)
                if riff_end == 8 + _ALL_ONES:
                    riff_end = 8 + int.from_bytes(body[:8], order)
            case b"fmt " if chunk.length >= 16 and data is None:
                byte_rate, block = int.from_bytes(body[8:12], order), int.from_bytes(body[12:14], order)
            case b"data" if data is None:
                left = size - chunk.body
                following = _chunk(body, chunk.body, order)
                data, remark = samples(
                    chunk.length,
                    wide_data if chunk.length == _ALL_ONES else None,
                    left,
                    is_empty=not left or (following is not None and following.end <= size),
                    riff_fits=riff_end == size,
                )
                if data > left:
                    return Verdict("truncated", "wav", (f"{data - left} of {data} bytes of samples are missing",))
                chunk = chunk._replace(length=data)
                remarks += [remark] if remark else []
            case b"data":
                more_data += 1
            case _:
                pass
        if chunk.end > size:
            name, left = chunk.kind.decode("ascii"), size - chunk.body
            remarks.append(f"RIFF chunk {name!r} at byte {offset} has {chunk.length} bytes, {left} are left")
        offset, is_odd = chunk.end, chunk.length % 2 == 1
    if data is None or block is None:
        missing = "samples" if data is None else "format in front of its samples"
        return Verdict("truncated", "wav", (f"the file has no {missing}", *remarks))
    behind = size - offset - is_odd
    if behind > 0:
        remarks.append(f"{behind} bytes behind the last RIFF chunk")
    missing_pads += behind == -1 and is_odd
    if missing_pads:
        remarks.append(f"behind {missing_pads} chunks of odd length the pad byte is missing")
    if more_data:
        remarks.append(f"{more_data} more data chunks, which players leave out")
    if block and data % block:
        remarks.append(f"{data} bytes of samples are not a multiple of {block}")
    if riff_end != size:
        remarks.append(f"the RIFF header declares {riff_end} bytes, the file has {size}")
    return Verdict("complete", "wav", tuple(remarks), data / byte_rate if byte_rate else None)


def _chunk(header: bytes, offset: int, order: _Order) -> _Chunk | None:
    if len(header) < _HEADER or not all(32 <= letter < 127 for letter in header[:4]):
        return None
    return _Chunk(header[:4], offset + _HEADER, int.from_bytes(header[4:8], order))


def samples(declared: int, wide: int | None, left: int, *, is_empty: bool, riff_fits: bool) -> tuple[int, str | None]:
    """Return how many bytes of samples there should be, and a remark where the length is not as declared.

    `wide` is the 64-bit length that replaces the declared one; `left` bytes exist. `is_empty` means that another
    chunk, or nothing, follows immediately: only then a length of 0 is true, otherwise it was never filled in.
    """
    length = declared if wide is None else wide
    if length == 0 and is_empty:
        return 0, "no sound: the data chunk is empty"
    if length == 0 or (length > left and _is_placeholder(length, is_wide=wide is not None)):
        return left, f"{length} bytes of samples are declared: they run to the end"
    if length > left and riff_fits:
        return left, f"{length} bytes of samples are declared, but the RIFF header ends where the file does"
    # More than 4 GiB, of whose length only 32 bits were written.
    wraps = (left - length + _SLACK) >> 32
    if wide is None and wraps > 0 and abs(left - length - (wraps << 32)) <= _SLACK:
        return min(left, length + (wraps << 32)), f"{length} bytes of samples are declared: {wraps} times 4 GiB too few"
    return length, None


def _is_placeholder(length: int, *, is_wide: bool) -> bool:
    """Return whether a length is a placeholder of a writer that couldn't fill it in."""
    if is_wide:
        return length >= 1 << 63
    return length > _ALL_ONES - _SLACK or abs(length - (1 << 31)) <= _SLACK or length % 1_000_000_000 == 0
