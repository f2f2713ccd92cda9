"""Pure: the sample tables of one track of an MP4 (ISO/IEC 14496-12, 8.6 and 8.7), as the bytes that they are.

Four hours have 340,000 samples: as Python objects they would be 100 MB, as tables they are 2 MB. What has to be counted
is counted entry by entry.
"""

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from struct import pack

from recording.join.boxes import Box, children, pairs
from recording.join.refusals import Unjoinable

# A picture is shown out of order by no more than so many: H.264 has at most 16 reference pictures.
_REORDERED = 64


@dataclass(frozen=True)
class Tables:
    """The tables of `count` samples.

    `sizes` has 4 bytes for each sample. `durations` (stts) and `shifts` (ctts, may be empty) have runs of a number of
    samples and their duration or shift, 8 bytes. `keys` (stss) has the numbers of the key frames from 1 on, None if
    every sample is one. `runs` (stsc) have 12 bytes: first media chunk, samples in each, sample entry. `offsets` has
    the place of each media chunk in the file, with `width` bytes.
    """

    count: int
    sizes: bytes
    durations: bytes
    shifts: bytes
    keys: bytes | None
    runs: bytes
    offsets: bytes
    width: int

    def media_chunks(self) -> Iterator[tuple[int, int, int]]:
        """List the media chunks: their place in the file, their first sample from 0 on, and how many they have."""
        places = numbers(self.offsets, self.width)
        sample = 0
        for first, last, samples in self._spans(len(places)):
            for number in range(first, last):
                yield places[number], sample, samples
                sample += samples

    def extent(self) -> tuple[int, int]:
        """Return the lowest byte of any sample, and the end of the highest; (0, 0) without samples."""
        sizes = numbers(self.sizes, 4)
        lowest, highest = None, 0
        for place, sample, samples in self.media_chunks():
            lowest = place if lowest is None else min(lowest, place)
            highest = max(highest, place + sum(sizes[sample : sample + samples]))
        return lowest or 0, highest

    def first(self, count: int) -> "Tables":
        """Return the tables of the first `count` samples, at most all; durations, shifts and keys stay as they are."""
        if count >= self.count:
            return self
        runs, chunks, left = bytearray(), 0, count
        for first, last, samples in self._spans(len(self.offsets) // self.width):
            whole = min(last - first, left // samples) if samples else last - first
            if whole:
                runs += pack(">III", first + 1, samples, 1)
            chunks, left = chunks + whole, left - whole * samples
            if whole < last - first:
                if left:
                    runs += pack(">III", first + whole + 1, left, 1)
                    chunks += 1
                break
        return Tables(
            count,
            self.sizes[: 4 * count],
            self.durations,
            self.shifts,
            self.keys,
            bytes(runs),
            self.offsets[: chunks * self.width],
            self.width,
        )

    def last_shown(self) -> int:
        """Return when the last picture in the order of showing ends, in media time.

        It needn't be the last one in the order of decoding: the sum of all durations would lose pictures.
        """
        ends, begin = 0, sum(count * duration for count, duration in pairs(self.durations))
        shifts = _backwards(self.shifts)
        for duration in _first(_backwards(self.durations), _REORDERED):
            begin -= duration
            ends = max(ends, begin + signed(next(shifts, 0)) + duration)
        return ends

    def first_after(self, time: int) -> int:
        """Return the number of samples that begin before a media time."""
        begin = found = 0
        for count, duration in pairs(self.durations):
            if begin + count * duration < time:
                begin, found = begin + count * duration, found + count
                continue
            return found + (-(-(time - begin) // duration) if time > begin else 0)
        return found

    def _spans(self, chunks: int) -> Iterator[tuple[int, int, int]]:
        """List the runs: their first media chunk from 0 on, the one behind their last, and the samples in each."""
        starts = numbers(self.runs, 4)
        for at in range(0, len(starts), 3):
            last = min(starts[at + 3] - 1, chunks) if at + 3 < len(starts) else chunks
            yield starts[at] - 1, last, starts[at + 1]


def read(data: memoryview, begin: int, end: int) -> Tables:
    """Read the tables between two offsets of a moov: those of a box `stbl`."""
    found = {box.kind: box for box in children(data, begin, end)}
    if {b"stsz", b"stz2"}.isdisjoint(found) or not {b"stts", b"stsc"} <= found.keys():
        raise Unjoinable("index", "its index has no tables")
    wide = b"co64" in found
    sizes = _sizes(data, found)
    tables = Tables(
        count=len(sizes) // 4,
        sizes=sizes,
        durations=_entries(data, found[b"stts"], 8),
        shifts=_entries(data, found[b"ctts"], 8) if b"ctts" in found else b"",
        keys=_entries(data, found[b"stss"], 4) if b"stss" in found else None,
        runs=_entries(data, found[b"stsc"], 12),
        offsets=_entries(data, found[b"co64" if wide else b"stco"], 8 if wide else 4)
        if wide or b"stco" in found
        else b"",
        width=8 if wide else 4,
    )
    _check(tables)
    return tables


def numbers(table: bytes, width: int) -> "array[int]":
    """Return a table of numbers."""
    found = array("I" if width == 4 else "Q")
    found.frombytes(table)
    if sys.byteorder == "little":
        found.byteswap()
    return found


def as_bytes(found: "array[int]") -> bytes:
    """Return numbers as a table; the array is of no use afterwards."""
    if sys.byteorder == "little":
        found.byteswap()
    return found.tobytes()


def moved(table: bytes, width: int, by: int) -> bytes:
    """Return a table of numbers to each of which is added; the results have room in `width` bytes.

    As one large number: thirty times as fast as one after the other, and nothing is carried from one to the next.
    """
    ones = int.from_bytes((1).to_bytes(width) * (len(table) // width))
    return (int.from_bytes(table) + by * ones).to_bytes(len(table))


def signed(value: int) -> int:
    """Return 32 bits as a number that may be negative: version 0 of ctts says they aren't, but writers do it."""
    return value - (1 << 32) if value >= 1 << 31 else value


def _sizes(data: memoryview, found: dict[bytes, Box]) -> bytes:
    if b"stz2" in found:
        raise Unjoinable("index", "its index has sizes of less than 32 bits")
    body, end = found[b"stsz"].body, found[b"stsz"].end
    equal, count = int.from_bytes(data[body + 4 : body + 8]), int.from_bytes(data[body + 8 : body + 12])
    if equal:
        # Not more than the largest table of different sizes could have.
        if count > 1 << 22:
            raise Unjoinable("tooLarge", f"its index has {count} entries")
        return equal.to_bytes(4) * count
    if body + 12 + 4 * count > end:
        raise Unjoinable("index", "its index is damaged: a table is shorter than it says")
    return bytes(data[body + 12 : body + 12 + 4 * count])


def _entries(data: memoryview, box: Box, width: int) -> bytes:
    count, begin = int.from_bytes(data[box.body + 4 : box.body + 8]), box.body + 8
    if begin + count * width > box.end:
        raise Unjoinable("index", "its index is damaged: a table is shorter than it says")
    return bytes(data[begin : begin + count * width])


def _check(tables: Tables) -> None:
    """Check that the tables are about the same samples."""
    chunks = len(tables.offsets) // tables.width
    starts = numbers(tables.runs, 4)
    firsts = starts[::3]
    in_order = all(one < two for one, two in pairwise(firsts)) and (not firsts or firsts[0] == 1)
    if not in_order or (firsts and firsts[-1] > chunks):
        raise Unjoinable("index", "its index is damaged: the runs of its media are out of order")
    if any(entry != 1 for entry in starts[2::3]):
        raise Unjoinable("codec", "its coding changes partway through")
    placed = sum((last - first) * samples for first, last, samples in tables._spans(chunks))
    timed = sum(count for count, _ in pairs(tables.durations))
    shifted = sum(count for count, _ in pairs(tables.shifts))
    keys = numbers(tables.keys, 4) if tables.keys else array("I")
    if placed != tables.count or timed != tables.count or shifted > tables.count:
        raise Unjoinable("index", "its index is damaged: its tables contradict each other")
    if keys and not (keys[0] >= 1 and keys[-1] <= tables.count):
        raise Unjoinable("index", "its index is damaged: key frames are out of range")


def _backwards(table: bytes) -> Iterator[int]:
    """List the value of each sample of a table of runs, the last one first."""
    for at in range(len(table) - 8, -1, -8):
        count, value = int.from_bytes(table[at : at + 4]), int.from_bytes(table[at + 4 : at + 8])
        for _ in range(count):
            yield value


def _first(values: Iterator[int], most: int) -> Iterator[int]:
    for _, value in zip(range(most), values, strict=False):
        yield value
