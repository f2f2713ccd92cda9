"""recording/formats: the verdict on every variation of a file that docs/media.md lists, and on what is made of them."""

import io
from functools import cache

import av
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recording.formats.verdict import Verdict
from tests.support import vectors
from tests.support.judged import inspected, judged, looked_at, looked_at_file
from tests.support.vectors import (
    COMPLETE,
    EMPTY,
    ERROR_PAGE,
    ID3V1,
    MP3_FRAME,
    NOT_MEDIA,
    REMARK,
    TRUNCATED,
    Make,
)

ALL = COMPLETE | REMARK | TRUNCATED | ERROR_PAGE | NOT_MEDIA | EMPTY
KINDS = ("wav", "mp3", "mp4")


def cases(table: dict[str, Make]) -> pytest.MarkDecorator:
    """Run a test for each file of a table."""
    return pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in table.items()])


@cases(COMPLETE)
def test_a_whole_file_is_complete(make: Make) -> None:
    """Nothing is odd about it, and it says how long it plays."""
    verdict = judged(make())

    assert ("complete", ()) == (verdict.outcome, verdict.remarks)
    assert verdict.kind in KINDS
    assert verdict.seconds is not None


@cases(REMARK)
def test_what_players_play_is_complete_with_a_remark(make: Make) -> None:
    """Whatever a writer did, no bytes are missing."""
    verdict = judged(make())

    assert "complete" == verdict.outcome
    assert verdict.remarks


@cases(TRUNCATED)
def test_what_is_cut_is_truncated(make: Make) -> None:
    """And it is said what is missing."""
    verdict = judged(make())

    assert "truncated" == verdict.outcome
    assert verdict.remarks


@pytest.mark.parametrize(
    ("outcome", "table"),
    [("error page", ERROR_PAGE), ("not media", NOT_MEDIA), ("empty", EMPTY)],
    ids=["error page", "not media", "empty"],
)
def test_what_is_no_media(outcome: str, table: dict[str, Make]) -> None:
    """Text that came in the place of media isn't the document; bytes of an unknown kind may be."""
    assert {name: outcome for name in table} == {name: judged(make()).outcome for name, make in table.items()}


@cases(ALL)
def test_pieces_of_any_size_and_reads_give_the_same_verdict(make: Make) -> None:
    """Where a piece ends makes no difference; nor does it whether bytes pass by or are asked for."""
    file = make()
    verdict = judged(file)

    assert {verdict} == {judged(file, piece) for piece in (997, 8192)}
    assert {verdict} == {looked_at_file(file)[0], looked_at_file(file, file[:1024])[0]}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(ALL.keys() - {"mp3, a tag of 300 kB"})),
    st.lists(st.integers(1, 3000), min_size=1, max_size=20),
)
def test_pieces_of_many_sizes_give_the_same_verdict(name: str, sizes: list[int]) -> None:
    """One after the other, again and again; of one byte, too."""
    file = ALL[name]()
    ends, pieces = 0, list[bytes]()
    while ends < len(file):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(file[ends : ends + size])
        ends += size

    assert judged(file) == inspected(pieces, len(file))


# --- What a player makes of it


@cache
def decoded(file: bytes) -> dict[str, int]:
    """Decode what ffmpeg can: the number of pictures and of samples."""
    found: dict[str, int] = {}
    try:
        with av.open(io.BytesIO(file), "r") as container:
            for packet in container.demux():
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    continue  # a damaged packet; there may be more
                for frame in frames:
                    count = frame.samples if isinstance(frame, av.AudioFrame) else 1
                    found[packet.stream.type] = found.get(packet.stream.type, 0) + count
    except av.FFmpegError:
        pass
    return found


WHOLE: dict[str, Make] = {"wav": vectors.wav, "mp3": vectors.mp3, "mp4": vectors.moov_first}
# ffmpeg plays these as if nothing were missing: the last MP3 frame holds padding, the last box of moov no table. Others
# show a wrong length, or play nothing.
STRICTER = {"mp3, cut within a frame", "mp4, moov last, 100 bytes missing"}


def plays_whole(file: bytes, kind: str) -> bool:
    """Return whether ffmpeg decodes all that the whole file of a kind has."""
    found = decoded(file)
    return all(found.get(stream, 0) >= count for stream, count in decoded(WHOLE[kind]()).items())


def test_what_plays_whole_is_truncated_only_where_the_rule_says_so() -> None:
    """A false "truncated" costs requests, and an alert."""
    found = {name for name, make in TRUNCATED.items() if plays_whole(make(), name[:3])}

    assert STRICTER == found


JUNK = st.one_of(st.integers(1, 300).map(bytes), st.binary(min_size=1, max_size=300), st.just(ID3V1))
SIZES = st.sampled_from([None, 0, 0xFFFF_FFFF, 0x7FFF_F000, 0x8000_0000, 0x7FFF_FFFF, 2_000_000_000])
CHUNK = st.builds(vectors.chunk, st.sampled_from([b"JUNK", b"LIST", b"bext", b"fact"]), st.binary(max_size=40))


class File(bytes):
    """A file that is too long to be shown."""

    def __repr__(self) -> str:
        return f"{len(self)} bytes: {self[:60].hex(' ', 4)} … {self[-60:].hex(' ', 4)}"


@st.composite
def wavs(draw: st.DrawFn) -> bytes:
    """Write a WAV as any writer might."""
    chunks = [*draw(st.lists(CHUNK, max_size=3)), vectors.fmt(), *draw(st.lists(CHUNK, max_size=2))]
    data = vectors.chunk(b"data", vectors.pcm(), size=draw(SIZES))
    size = draw(st.none() | st.integers(0, 2**32 - 1))
    return vectors.riff(*chunks, data, size=size) + draw(st.just(b"") | JUNK)


@st.composite
def mp3s(draw: st.DrawFn) -> bytes:
    """Write an MP3 with tags and other bytes around its frames."""
    front = draw(st.lists(st.integers(0, 300).map(vectors.id3), max_size=2))
    gap = draw(st.just(b"") | st.integers(1, 2000).map(bytes))
    behind = draw(st.lists(JUNK | st.just(vectors.ape()), max_size=2))
    return b"".join((*front, gap, draw(st.sampled_from([vectors.mp3(), vectors.frames()])), *behind))


@st.composite
def mp4s(draw: st.DrawFn) -> bytes:
    """Write an MP4 with other boxes in front of each of its own, and anything behind."""
    kinds = st.sampled_from([b"free", b"skip", b"wide", b"uuid", b"abcd", b"\xa9xyz"])
    others = st.lists(st.builds(vectors.box, kinds, st.binary(max_size=60)), max_size=2).map(b"".join)
    first, free = draw(others), draw(others)
    part = vectors.parts(vectors.moov_first())
    moov = vectors.shifted(part[b"moov"], len(first) + len(free) - len(part[b"free"]))
    return first + part[b"ftyp"] + moov + free + part[b"mdat"] + draw(st.just(b"") | JUNK)


@pytest.mark.parametrize(("kind", "files"), [("wav", wavs()), ("mp3", mp3s()), ("mp4", mp4s())], ids=KINDS)
def test_what_ffmpeg_decodes_whole_is_complete(kind: str, files: st.SearchStrategy[bytes]) -> None:
    """However its parts are combined."""

    @settings(max_examples=25, deadline=None)
    @given(files.map(File))
    def check(file: bytes) -> None:
        assume(plays_whole(file, kind))
        assert ("complete", kind) == (judged(file).outcome, judged(file).kind)

    check()


# --- Cut at any place, and any bytes


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["wav", "mp3", "mp4, moov first", "mp4, moov last", "wav, RF64", "m4a"]), st.data())
def test_a_file_that_is_cut_anywhere_is_truncated(name: str, data: st.DataObject) -> None:
    """Before byte 12 it may be anything; from there on no part of a file passes for the whole."""
    file = COMPLETE[name]()
    cut = file[: data.draw(st.integers(12, len(file) - 1))]

    assert "truncated" == judged(cut).outcome


@given(st.integers(MP3_FRAME, 85 * MP3_FRAME))
def test_frames_alone_may_end_behind_any_frame(length: int) -> None:
    """Nothing says that there were more, but how long it plays."""
    verdict = judged(vectors.frames()[:length])

    assert ("truncated" if length % MP3_FRAME else "complete") == verdict.outcome
    assert verdict.seconds == (None if length % MP3_FRAME else pytest.approx(0.036 * (length // MP3_FRAME)))


@given(st.data())
def test_a_fragmented_file_may_end_behind_any_fragment(data: st.DataObject) -> None:
    """Within one it is cut, but for the first bytes of its header, which may be anything."""
    file = vectors.fragmented()
    ends = [end for _, end in vectors.fragments(file)]
    length = data.draw(st.integers(vectors.fragments(file)[0][0] + 8, ends[-1]))
    behind = min((length - end for end in ends if length >= end), default=8)

    verdict = judged(file[:length])

    assert ("complete" if behind < 8 else "truncated") == verdict.outcome
    assert bool(verdict.remarks) == bool(behind)


STARTS = (
    b"",
    b"RIFF\x24\x77\1\0WAVE",
    b"RF64\xff\xff\xff\xffWAVE" + vectors.ds64(1, 2, 3),
    vectors.riff(vectors.fmt())[:36],
    vectors.box(b"ftyp", b"isom\0\0\2\0"),
    vectors.box(b"mdat") + vectors.box(b"moov", size=200),
    vectors.box(b"mdat") + (200).to_bytes(4) + b"moov" + (100).to_bytes(4) + b"trak" + (90).to_bytes(4) + b"stsz",
    vectors.box(b"moof", size=100) + (90).to_bytes(4) + b"traf" + (80).to_bytes(4) + b"trun\0\0\1\0",
    vectors.id3(3),
    b"APETAGEX",
    b"\xff\xf3\x68\xc0",
    b"\xff\xf3\x08\xc0",
    b"\xff\xf1",
    b"\xff\xfe",
)


def assert_can_be_written_down(verdict: Verdict) -> None:
    """Expect remarks that blob metadata can hold, whose values are ASCII and have 8 KiB in all."""
    assert all(remark.isascii() and remark.isprintable() and len(remark) < 200 for remark in verdict.remarks)
    assert len(verdict.remarks) < 10


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(STARTS), st.binary(max_size=600), st.integers(1, 50))
def test_any_bytes_get_their_verdict(start: bytes, rest: bytes, piece: int) -> None:
    """Whatever they are, the same in every way."""
    file = start + rest
    verdict = judged(file)

    assert "undecided" != verdict.outcome
    assert {verdict} == {judged(file, piece), looked_at_file(file)[0]}
    assert_can_be_written_down(verdict)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["wav", "mp3", "mp4, moov first", "mp4, moov last", "mp4, fragments"]),
    st.lists(st.tuples(st.integers(0, 2500), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
)
def test_a_file_whose_headers_are_damaged_gets_its_verdict(name: str, damages: list[tuple[int, bytes]]) -> None:
    """Sizes of any kind, in any box or table, lead nowhere else."""
    file = bytearray(COMPLETE[name]())
    for place, damage in damages:
        file[place : place + len(damage)] = damage
    verdict = judged(bytes(file))

    assert "undecided" != verdict.outcome
    assert verdict == looked_at_file(bytes(file))[0]
    assert_can_be_written_down(verdict)


# --- Large files


def test_three_hours_of_fragments_take_one_pass_and_eight_reads() -> None:
    """However many boxes there are: the pass is complete, the early look ends undecided."""
    file = vectors.fragmented()
    first, end = vectors.fragments(file)[1]
    head, pair, count = file[:first], file[first:end], 10_800
    size = len(head) + count * len(pair)

    beginning = head + pair * 200

    assert "complete" == inspected((head, *(pair for _ in range(count))), size).outcome
    verdict, asked = looked_at(lambda span: beginning[span.offset : span.end], size)
    assert ("undecided", 8) == (verdict.outcome, len(asked))
