"""recording/formats/mp4.py: whether an MP4 is whole."""

import struct

import pytest

from recording.formats.verdict import Verdict
from tests.support.judged import inspected, judged
from tests.support.vectors import box, fragmented, fragments, moov_first

FTYP = box(b"ftyp", b"isom\0\0\2\0isom")
MDAT = box(b"mdat", bytes(1000))
MOOV = box(b"moov", box(b"mvhd", bytes(100)))


def table(kind: bytes, count: int, entries: bytes, *, more: bytes = b"") -> bytes:
    """Return a table of a track: version and flags, what comes in front of the count, count, entries."""
    return box(kind, bytes(4) + more + count.to_bytes(4) + entries)


def track(*tables: bytes, number: int = 1, timescale: int = 8) -> bytes:
    """Return a track."""
    head = box(b"tkhd", bytes(12) + number.to_bytes(4) + bytes(64))
    times = box(b"mdhd", bytes(12) + timescale.to_bytes(4) + bytes(8))
    return box(b"trak", head + box(b"mdia", times + box(b"minf", box(b"stbl", b"".join(tables)))))


def stsc(*runs: tuple[int, int]) -> bytes:
    """Return the table of runs: from which media chunk on it is so many samples."""
    return table(b"stsc", len(runs), b"".join(struct.pack(">III", first, samples, 1) for first, samples in runs))


def stsz(*sizes: int) -> bytes:
    """Return the table of sizes."""
    return table(b"stsz", len(sizes), struct.pack(f">{len(sizes)}I", *sizes), more=bytes(4))


def stco(*offsets: int) -> bytes:
    """Return the table of offsets."""
    return table(b"stco", len(offsets), struct.pack(f">{len(offsets)}I", *offsets))


CO64 = table(b"co64", 2, struct.pack(">QQ", 0, 900))
# 20 samples of 50 bytes each, in media chunks of 3, 3, ... and 2.
RUNS = stsc((1, 3), (7, 2))


@pytest.mark.parametrize(
    ("tables", "end"),
    [
        pytest.param([RUNS, stsz(*[50] * 20), stco(0, 900)], 1000, id="sizes"),
        pytest.param([RUNS, table(b"stsz", 20, b"", more=(50).to_bytes(4)), stco(900)], 1000, id="equal-sizes"),
        pytest.param([RUNS, stsz(*[50] * 20), CO64], 1000, id="64-bit-offsets"),
        pytest.param([stco(0, 900), RUNS, stsz(*[50] * 20)], 1000, id="another-order"),
        pytest.param([stsz(*[50] * 20), RUNS, stco(0, 900)], 950, id="sizes-in-front-of-runs"),
        pytest.param([stsc((1, 5000)), stsz(*range(5000)), stco(7)], 7 + sum(range(5000)), id="one-long-media-chunk"),
        pytest.param([stsc((1, 9)), stsz(), stco()], 0, id="no-samples"),
        pytest.param([stsc(), stsz(10, 20), stco(500)], 500, id="no-runs"),
        pytest.param([stsc((1, 1)), table(b"stsz", 10**9, bytes(12), more=bytes(4)), stco(500)], 500, id="false-count"),
    ],
)
def test_the_tables_say_where_media_ends(tables: list[bytes], end: int) -> None:
    """It is where the last media chunk of any track ends: an mdat that declares no size is cut if that is missing."""
    other = track(stsc((1, 1)), stsz(1), stco(1), number=2)
    moov = box(b"moov", track(*tables) + other)
    head = FTYP + moov + bytes(4) + b"mdat"

    def file(size: int) -> Verdict:
        return inspected((head, bytes(max(0, size - len(head)))), size)

    assert "complete" == file(max(end, len(head))).outcome
    if end > len(head):
        cut = file(end - 1)
        assert ("truncated", f"the tables place media up to byte {end}") == (
            cut.outcome,
            cut.remarks[0].partition(",")[0],
        )


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        pytest.param(FTYP + MOOV + MDAT[:-1], "box mdat at byte 136 has 1008 bytes, 1007 are left", id="cut"),
        pytest.param(FTYP + MDAT, "no moov box, without which nothing can be played", id="no-moov"),
        pytest.param(FTYP, "no moov box", id="ftyp-alone"),
        pytest.param(FTYP[:-1], "box ftyp at byte 0 has 20 bytes, 19 are left", id="ftyp-cut"),
        pytest.param(FTYP + MDAT + bytes(100), "100 bytes behind the last box", id="zeros-before-moov"),
        pytest.param(FTYP + MOOV + b"\0\0\0\7mdat", "8 bytes behind the last box", id="too-small"),
        pytest.param(FTYP + MOOV + MDAT + MOOV[:50], "box moov at byte 1144", id="second-moov-cut"),
    ],
)
def test_what_is_missing_is_said(file: bytes, reason: str) -> None:
    """And where."""
    verdict = judged(file)

    assert "truncated" == verdict.outcome
    assert verdict.remarks[0].startswith(reason)


@pytest.mark.parametrize(
    ("file", "remarks"),
    [
        pytest.param(FTYP + MOOV + MDAT, ("the tables hold neither pictures nor sound",), id="no-tables"),
        pytest.param(FTYP + box(b"moov", bytes(50)) + MDAT, ("the tables hold neither",), id="no-boxes-in-moov"),
        pytest.param(moov_first() + b"\0\0\0\1free" + bytes(8), ("16 bytes behind the last box",), id="small-64-bit"),
        pytest.param(moov_first() + b"ab", ("2 bytes behind the last box",), id="cut-header"),
        pytest.param(moov_first() + box(b"udta", size=90), ("box udta at byte",), id="cut-udta"),
    ],
)
def test_what_is_odd_is_said(file: bytes, remarks: tuple[str, ...]) -> None:
    """What plays, plays."""
    verdict = judged(file)

    assert "complete" == verdict.outcome
    assert len(remarks) == len(verdict.remarks)
    assert verdict.remarks[0].startswith(remarks[0])


def test_any_number_of_unknown_boxes_may_come_first() -> None:
    """Large ones, too; but without one that is known it is no MP4."""
    front = box(b"abcd", bytes(5000)) + box(b"\xa9xyz", bytes(10)) * 3

    assert ("complete", "mp4") == (judged(front + FTYP + MOOV + MDAT).outcome, judged(front + FTYP + MOOV + MDAT).kind)
    assert "not media" == judged(front).outcome
    assert "not media" == judged(front + bytes(5000)).outcome


def test_a_box_is_needed_to_begin_with() -> None:
    """A size below that of its own header is none."""
    assert "not media" == judged(b"\0\0\0\7mdat" + bytes(2000)).outcome


def header_of_movie(timescale: int, duration: int, *, is_long: bool) -> bytes:
    """Return the movie header."""
    times = struct.pack(">QQIQ" if is_long else ">IIII", 0, 0, timescale, duration)
    return box(b"mvhd", bytes((is_long, 0, 0, 0)) + times + bytes(80))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (header_of_movie(1000, 5500, is_long=False), 5.5),
        (header_of_movie(10_000_000, 6_000_000_000, is_long=True), 600.0),
        (header_of_movie(1000, 2**32 - 1, is_long=False), None),
        (header_of_movie(1000, 2**64 - 1, is_long=True), None),
        (header_of_movie(0, 5500, is_long=False), None),
        (b"", None),
    ],
)
def test_how_long_it_plays(header: bytes, seconds: float | None) -> None:
    """As the movie header says, if it does."""
    tables = track(stsc((1, 1)), stsz(1), stco(1))

    assert seconds == judged(FTYP + box(b"moov", header + tables) + MDAT).seconds


def fragment(
    flags: int, *fields: int, defaults: tuple[int, ...] = (), time: int | None = None, number: int = 1
) -> bytes:
    """Return a moof: its first field is the number of samples; `defaults` are flags and fields of its header."""
    head = struct.pack(f">II{len(defaults[1:])}I", defaults[0] if defaults else 0, number, *defaults[1:])
    start = b"" if time is None else box(b"tfdt", bytes(4) + time.to_bytes(4))
    run = box(b"trun", flags.to_bytes(4) + struct.pack(f">{len(fields)}I", *fields))
    return box(b"moof", box(b"mfhd", bytes(8)) + box(b"traf", box(b"tfhd", head) + start + run)) + MDAT


LONG_RUN = (0x301, 3000, 0, *([2, 999] * 3000))


@pytest.mark.parametrize(
    ("moof", "seconds"),
    [
        pytest.param(fragment(0, 16), 16 * 3 / 8, id="default-of-moov"),
        pytest.param(fragment(0, 16, time=80), 10 + 16 * 3 / 8, id="starts-later"),
        pytest.param(fragment(0, 16, defaults=(8, 4)), 16 * 4 / 8, id="default-of-fragment"),
        pytest.param(fragment(0, 16, defaults=(0xB, 0, 0, 7, 5)), 16 * 5 / 8, id="behind-other-fields"),
        pytest.param(fragment(0x105, 3, 0, 0, 1, 2, 5), 1.0, id="own-durations"),
        pytest.param(fragment(*LONG_RUN), 750.0, id="own-durations-and-sizes"),
        pytest.param(fragment(0x100, 10**9, 8, 8), 2.0, id="false-count"),
        pytest.param(fragment(0, 16, number=9), None, id="unknown-track"),
        pytest.param(fragment(0x100, 1, 90, number=2), 30.0, id="second-track"),
        pytest.param(fragment(0, 16) * 2, 2 * 16 * 3 / 8, id="one-behind-the-other"),
    ],
)
def test_fragments_say_how_long_they_play(moof: bytes, seconds: float | None) -> None:
    """Each sample of a run, by its own duration or by a default."""
    defaults = box(b"mvex", box(b"trex", struct.pack(">IIIIII", 0, 1, 1, 3, 0, 0)))
    verdict = judged(FTYP + box(b"moov", track() + track(number=2, timescale=3) + defaults) + moof)

    assert ("complete", (), seconds) == (verdict.outcome, verdict.remarks, verdict.seconds)


def test_a_real_fragmented_file_says_how_long_it_plays() -> None:
    """With every fragment that is missing it is a second less."""
    file = fragmented()
    found = [judged(file[:end]).seconds for _, end in fragments(file)]

    assert [1, 2, 3, 4, 5] == [round(seconds or 0) for seconds in found]


def test_no_number_of_tracks_makes_it_remember_more() -> None:
    """A file may declare thousands of tracks: the last one still counts."""
    many = b"".join(track(number=number) for number in range(3000))
    end = track(stsc((1, 1)), stsz(10), stco(10**6))

    assert "truncated" == judged(FTYP + box(b"moov", many + end) + MDAT).outcome
