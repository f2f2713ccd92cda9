"""recording/join/plan.py: which chunks become which file, and why some don't."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recording.join import plan as planner
from recording.join.parts import Joined, Range
from recording.join.plan import plan
from recording.join.refusals import Refused
from recording.join.sources import Recording, Source
from recording.model.timeline import Span
from tests.support import vectors
from tests.support.joining import (
    KEY,
    START,
    Chunk,
    decoded,
    of,
    only_part,
    planned,
    reader,
    recording,
    source,
    written,
)
from tests.support.v1 import ROOT
from tests.support.vectors import box


def planned_unread(found: Recording) -> Joined | Refused:
    """Plan, where nothing has to be read for it."""
    try:
        wanted = next(plan(found))
    except StopIteration as done:
        result: Joined | Refused = done.value
        return result
    raise AssertionError(f"it asks for {wanted}")


def test_one_chunk_is_the_file_itself() -> None:
    """Nothing of it is read."""
    part = only_part(planned_unread(recording(source(0))))

    assert (Range(0, 0, 1000),) == part.pieces
    assert part.is_chunk_itself
    assert (1000, 2.5, "video/mp4", f"{KEY}.mp4") == (part.size, part.seconds, part.content_type, part.file_name)


def test_what_is_missing_is_named() -> None:
    """In the answer and in the name of the file."""
    lost, waiting = source(0, size=None, state="lost", kind=None), source(1, size=None, state="waiting", kind=None)
    page, here = source(2, verdict="not media", kind=None), source(3, state="notProved")

    part = only_part(planned_unread(recording(lost, waiting, page, here)))

    assert [(0, "lost"), (1, "waiting"), (2, "damaged"), (3, "notProved")] == [
        (one.index, one.state) for one in part.missing
    ]
    assert f"{KEY}_without-chunks-0-1-2_unproved-chunk-3.mp4" == part.file_name
    assert (Range(3, 0, 1000),) == part.pieces


def test_a_name_has_room_for_eight_indexes() -> None:
    """The answer has them all."""
    sources = [source(index, size=None, state="lost") for index in range(1, 13)]

    part = only_part(planned_unread(recording(source(0), *sources)))

    assert f"{KEY}_without-chunks-1-2-3-4-5-6-7-8-and-4-more.mp4" == part.file_name
    assert 12 == len(part.missing)


UNREAD: dict[str, tuple[list[Source], list[tuple[str, int | None, str]]]] = {
    "no-chunks": ([], [("nothing", None, "no chunk of the recording can be played")]),
    "all-lost": (
        [source(0, size=None, state="lost")],
        [("nothing", None, "no chunk of the recording can be played")],
    ),
    "mixed-formats": (
        [source(0), source(1, size=None, state="lost"), source(2, kind="wav"), source(3, kind="mp3")],
        [
            ("mixedFormats", 2, "chunk 2 is wav, chunk 0 is mp4"),
            ("mixedFormats", 3, "chunk 3 is mp3, chunk 0 is mp4"),
        ],
    ),
    "another-format": (
        [source(0, kind=None)],
        [("mixedFormats", 0, "chunk 0 is of a format that can't be joined")],
    ),
}


@pytest.mark.parametrize(("sources", "refusals"), [pytest.param(*one, id=name) for name, one in UNREAD.items()])
def test_what_is_refused_without_a_look(sources: list[Source], refusals: list[tuple[str, int | None, str]]) -> None:
    """The manifest says enough; the message names the chunk."""
    refused = planned_unread(recording(*sources))

    assert isinstance(refused, Refused)
    assert refusals == [(one.reason, one.chunk, one.message) for one in refused.refusals]


def test_chunks_are_in_the_order_of_the_timeline() -> None:
    """Those that it doesn't have come last, by their index."""
    spans = tuple(Span(kind="recorded", begin=START, end=START, chunks=(index,), offset_ms=0) for index in (4, 2, 9, 2))
    found = recording(*(source(index) for index in (0, 2, 4, 7, 9)), timeline=spans)

    assert [4, 2, 9, 0, 7] == [found.sources[place].index for place in found.in_order()]


# --- Chunks that differ, and that can't be joined

PLAIN = Chunk(0, 8, 1.0)


def wav(channels: int = 1, *, extensible: bool = False, rate: int = 16_000, samples: int = 100) -> bytes:
    """Return a WAV file."""
    fmt = vectors.fmt(channels=channels, extensible=extensible).replace(
        (16_000).to_bytes(4, "little"), rate.to_bytes(4, "little")
    )
    return vectors.riff(fmt, vectors.chunk(b"data", bytes(2 * channels * samples)))


def stereo_mp3() -> bytes:
    """Return frames of two channels."""
    return (b"\xff\xf3\x68\x40" + bytes(212)) * 20


DIFFERENT = {
    "size": (
        "mp4",
        (PLAIN.make, Chunk(8, 8, 1.0, width=320, height=192).make),
        ("pictureSize", "chunk 1 has pictures of 320x192, chunk 0 of 160x96"),
    ),
    "profile": (
        "mp4",
        (PLAIN.make, Chunk(8, 8, 1.0, profile="main", b_frames=1).make),
        ("codec", "chunk 1 has H.264 pictures of profile Main, chunk 0 has pictures of profile Baseline"),
    ),
    "sample-rate": (
        "mp4",
        (PLAIN.make, Chunk(8, 8, 1.0, rate=24_000).make),
        ("sound", "chunk 1 has sound of 1 channel at 24000 Hz, chunk 0 has sound of 1 channel at 16000 Hz"),
    ),
    "channels": (
        "mp4",
        (PLAIN.make, Chunk(8, 8, 1.0, channels=2).make),
        ("sound", "chunk 1 has sound of 2 channels at 16000 Hz, chunk 0 has sound of 1 channel at 16000 Hz"),
    ),
    "without-sound": (
        "mp4",
        (PLAIN.make, Chunk(8, 8, 0).make),
        ("tracks", "chunk 1 has no sound, chunk 0 has some"),
    ),
    "without-pictures": (
        "mp4",
        (PLAIN.make, Chunk(8, 0, 1.0).make),
        ("tracks", "chunk 1 has no pictures, chunk 0 has some"),
    ),
    "wav-rate": (
        "wav",
        (wav, lambda: wav(rate=8_000)),
        ("samples", "chunk 1 has samples of 16 bit at 8000 Hz, chunk 0 has samples of 16 bit at 16000 Hz"),
    ),
    "wav-channels": (
        "wav",
        (wav, lambda: wav(2)),
        ("sound", "chunk 1 has 2 channels, chunk 0 has 1 channel"),
    ),
    "mp3-rate": (
        "mp3",
        (vectors.mp3, lambda: vectors.mp3(8_000)),
        ("samples", "chunk 1 has MPEG-2.5 at 8000 Hz, chunk 0 has MPEG-2 at 16000 Hz"),
    ),
    "mp3-channels": (
        "mp3",
        (vectors.mp3, stereo_mp3),
        ("sound", "chunk 1 has 2 channels, chunk 0 has 1 channel"),
    ),
}


@pytest.mark.parametrize(("kind", "makes", "because"), [pytest.param(*one, id=name) for name, one in DIFFERENT.items()])
def test_a_chunk_that_is_coded_differently_begins_another_file(
    kind: str, makes: tuple[Any, Any], because: tuple[str, str]
) -> None:
    """For a player would show garbage, or stop; what the first chunk is again belongs to a third file."""
    files = [makes[0](), makes[1](), makes[1](), makes[0]()]
    found, _ = planned(*of(kind, *files))

    assert isinstance(found, Joined)
    assert [(1, 3, [0]), (2, 3, [1, 2]), (3, 3, [3])] == [
        (part.part, part.of, [place.index for place in part.chunks]) for part in found.parts
    ]
    reasons = [part.because and (part.because.reason, part.because.chunk, part.because.message) for part in found.parts]
    assert [None, (because[0], 1, because[1])] == reasons[:2]
    assert f"{KEY}_part-2-of-3.{kind}" == found.parts[1].file_name
    assert [True, False, True] == [part.is_chunk_itself for part in found.parts]


def test_each_run_of_equal_chunks_plays() -> None:
    """Its numbers are its own."""
    files = [chunk.make() for chunk in (PLAIN, Chunk(8, 8, 1.0, width=320, height=192))]
    found, _ = planned(*of("mp4", files[0], files[0], files[1], files[1]))

    assert isinstance(found, Joined)
    assert [[*range(8)] * 2, [*range(8, 16)] * 2] == [
        decoded(written(part, reader([files[0], files[0], files[1], files[1]]))).numbers for part in found.parts
    ]


REFUSED: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], list[tuple[str, int, str]]]] = {
    "fragmented": (
        "mp4",
        (PLAIN.make, vectors.fragmented),
        {},
        [("fragmented", 1, "chunk 1 can't be joined: it is fragmented, so its index is spread over the file")],
    ),
    "cut": (
        "mp4",
        (vectors.moov_first, lambda: vectors.moov_first()[:-1]),
        {"verdict": "truncated"},
        [("cut", 1, "chunk 1 can't be joined: its media goes up to byte ")],
    ),
    "coded-wav": (
        "wav",
        (wav, lambda: wav().replace(b"\x10\0\0\0\1\0", b"\x10\0\0\0\x11\0")),
        {},
        [("samples", 1, "chunk 1 can't be joined: its samples are coded (format 17)")],
    ),
    "big-endian-wav": (
        "wav",
        (wav, lambda: b"RIFX" + wav()[4:]),
        {},
        [("samples", 1, "chunk 1 can't be joined: its samples are big-endian")],
    ),
    "free-format-mp3": (
        "mp3",
        (vectors.mp3, vectors.free_format),
        {},
        [("codec", 1, "chunk 1 can't be joined: its frames are of no known length")],
    ),
    "every-chunk": (
        "mp4",
        (vectors.fragmented, vectors.fragmented),
        {},
        [
            ("fragmented", 0, "chunk 0 can't be joined: it is fragmented"),
            ("fragmented", 1, "chunk 1 can't be joined: it is fragmented"),
        ],
    ),
}


@pytest.mark.parametrize(
    ("kind", "makes", "more", "refusals"), [pytest.param(*one, id=name) for name, one in REFUSED.items()]
)
def test_what_is_refused(
    kind: str, makes: tuple[Any, ...], more: dict[str, Any], refusals: list[tuple[str, int, str]]
) -> None:
    """Each chunk with its reason."""
    found, _ = planned(*of(kind, *(make() for make in makes), **more))

    assert isinstance(found, Refused)
    assert [one[:2] for one in refusals] == [(one.reason, one.chunk) for one in found.refusals]
    assert all(got.message.startswith(due[2]) for got, due in zip(found.refusals, refusals, strict=True))


OTHER_CHANNELS = [
    ({"a": 1, "b": 0}, "the channels of chunk 1 are not those of the same participants as in chunk 0"),
    ({"a": 0, "b": 1, "c": 2}, "the channels of chunk 1 are not those of the same participants as in chunk 0"),
    ({}, "nothing says whose the channels of chunk 1 are"),
]


@pytest.mark.parametrize(("second", "message"), OTHER_CHANNELS)
def test_unmixed_sound_whose_channels_differ_is_refused(second: dict[str, int], message: str) -> None:
    """In one file channel 1 would be two people."""
    files = [wav(2), wav(2)]
    maps = [{"a": 0, "b": 1}, second]
    sources = [source(index, kind="wav", size=len(files[0]), channels=one) for index, one in enumerate(maps)]

    found, _ = planned(recording(*sources), reader(files))

    assert isinstance(found, Refused)
    assert [("channelMap", 1, message)] == [(one.reason, one.chunk, one.message) for one in found.refusals]


def test_channels_that_nothing_describes_are_refused_unless_they_are_mixed() -> None:
    """No chunk has a metadata file: the channels of two chunks may be those of four people."""
    for channels, is_mixed, is_joined in ((2, False, False), (2, True, True), (1, False, True)):
        files = [wav(channels), wav(channels)]
        found, _ = planned(*of("wav", *files, is_mixed=is_mixed))

        assert is_joined == isinstance(found, Joined), (channels, is_mixed)
        if isinstance(found, Refused):
            [refusal] = found.refusals
            assert ("channelMap", 1, OTHER_CHANNELS[-1][1]) == (refusal.reason, refusal.chunk, refusal.message)


def test_the_messages_of_the_docs_are_those() -> None:
    """Each message of docs/joining.md is one that a test here gets, and has its reason; each reason is in the table."""
    text = (ROOT / "docs" / "joining.md").read_text()
    table = text.partition("| reason | message |\n| --- | --- |\n")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)

    refused = [(one[0], one[2]) for _, several in UNREAD.values() for one in several]
    refused += [(one[0], one[2]) for *_, several in REFUSED.values() for one in several]
    due = [because for *_, because in DIFFERENT.values()] + refused
    due += [("channelMap", message) for _, message in OTHER_CHANNELS]

    assert len(table.splitlines()) == len(listed)
    assert {reason for reason, _ in due} == {reason for reason, _ in listed}
    for reason, message in listed:
        assert any(reason == other and message.startswith(begin) for other, begin in due), message


def test_unmixed_sound_of_the_same_participants_is_joined() -> None:
    """In whatever order the metadata files name them."""
    files = [wav(2), wav(2)]
    maps = [{"a": 0, "b": 1}, {"b": 1, "a": 0}]
    sources = [source(index, kind="wav", size=len(files[0]), channels=one) for index, one in enumerate(maps)]

    found, _ = planned(recording(*sources), reader(files))

    assert only_part(found).seconds == pytest.approx(200 / 16_000)


def test_a_chunk_without_an_index_is_left_out_and_named() -> None:
    """It was delivered like that; nothing plays it."""
    files = [PLAIN.make(), vectors.moov_last()[:500], PLAIN.make()]
    verdicts = ("complete", "truncated", "complete")
    sources = [
        source(index, size=len(file), verdict=verdict)
        for index, (file, verdict) in enumerate(zip(files, verdicts, strict=True))
    ]

    part = only_part(planned(recording(*sources), reader(files))[0])

    assert [0, 2] == [place.index for place in part.chunks]
    assert [(1, "damaged")] == [(one.index, one.state) for one in part.missing]
    assert f"{KEY}_without-chunk-1.mp4" == part.file_name
    assert "chunk 1 is damaged: it has no index of its media" in part.chapters[-1].title


def test_what_is_missing_is_named_in_the_part_where_it_would_be() -> None:
    """What is behind all parts, in the last one."""
    small, large = PLAIN.make(), Chunk(8, 8, 1.0, width=320, height=192).make()
    gone = {"size": None, "state": "lost", "kind": None}
    sources = [
        source(0, **gone),
        source(1, size=len(small)),
        source(2, **gone),
        source(3, size=len(large)),
        source(4, **gone),
    ]

    found, _ = planned(recording(*sources), reader([b"", small, b"", large, b""]))

    assert isinstance(found, Joined)
    assert [[0], [2, 4]] == [[one.index for one in part.missing] for part in found.parts]


def test_other_tracks_are_left_out_with_a_remark() -> None:
    """Text, time codes: players don't need them."""
    plain = vectors.moov_first()
    moov = vectors.parts(plain)[b"moov"]
    trak = box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + b"tmcd" + bytes(13))))
    more = plain.replace(moov, vectors.shifted(box(b"moov", moov[8:] + trak), len(trak)), 1)

    part = only_part(planned(*of("mp4", plain, more))[0])

    assert ("chunk 1: a track 'tmcd' is left out",) == part.remarks


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tables of all chunks are larger, nothing is joined."""
    monkeypatch.setattr(planner, "LARGEST_TABLES", 1000)

    found, asked = planned(*of("mp4", *[PLAIN.make()] * 20))

    assert isinstance(found, Refused)
    assert [("tooLarge", None)] == [(one.reason, one.chunk) for one in found.refusals]
    assert len(asked) < 20


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_damaged_bytes_lead_to_a_plan_or_to_a_refusal(changes: list[tuple[int, int]], is_first: bool) -> None:
    """To nothing else, wherever they are in the index: bytes come from outside."""
    whole = PLAIN.make()
    damaged = bytearray(whole)
    moov = whole.rindex(b"moov")
    for place, value in changes:
        damaged[moov + 4 + place % (len(whole) - moov - 4)] = value
    files = [bytes(damaged), whole] if is_first else [whole, bytes(damaged)]

    found, _ = planned(*of("mp4", *files))

    if isinstance(found, Joined):
        assert all(part.size == len(written(part, reader(files))) for part in found.parts)
    else:
        assert all(one.message for one in found.refusals)
