"""Pure: make the plan of one playable file from the chunks of a recording.

The plan needs the heads of the chunks: two or three ranges of each, of 64 KiB or as long as the index of its media. It
asks for one range after the other, and whoever runs it reads them:

    planning = plan(Recording.of(manifest))
    try:
        wanted = next(planning)
        while True:
            wanted = planning.send(await read(wanted.chunk, wanted.begin, wanted.end))
    except StopIteration as done:
        joined: Joined | Refused = done.value
"""

import struct
from bisect import bisect_left
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from recording.formats.verdict import Walk
from recording.join import mp3, mp4, mp4_head, mp4_join, wav
from recording.join.chapters import chapters as chapters_of
from recording.join.mp3 import Mp3Head
from recording.join.mp4 import Mp4Head
from recording.join.mp4_head import About
from recording.join.names import file_name
from recording.join.parts import Chapter, Joined, Missing, Part, Place, Range
from recording.join.refusals import Reason, Refusal, Refused, Unjoinable
from recording.join.sources import Recording, Source
from recording.join.wav import WavHead

# Asks for ranges of chunks, is sent their bytes (exactly as many), and returns the plan.
type Planning = Generator[Range, bytes, Joined | Refused]
type Head = Mp4Head | WavHead | Mp3Head

_NOT_MEDIA = ("not media", "error page", "empty")
# What a number that makes no sense leads to: a field that isn't there, a time that has no room.
_DAMAGED = (IndexError, OverflowError, struct.error)
# The tables of all chunks of an MP4 are held, and written once more: 0.6 MB for an hour.
LARGEST_TABLES = 24 * 1024 * 1024


def plan(recording: Recording) -> Planning:
    """Plan the joined file of a recording.

    Nothing is read where that can't change the result: if there is one chunk it is the file.
    """
    order = recording.in_order()
    missing = {place: one for place in order if (one := _missing(recording.sources[place]))}
    playable = _playable(order, missing)
    if not playable:
        return Refused((Refusal("nothing", None, "no chunk of the recording can be played"),))
    if refusals := _mixed_formats([recording.sources[place] for place in playable]):
        return Refused(tuple(refusals))
    heads: dict[int, Head] = {}
    if len(playable) > 1:
        refusals = yield from _read_all(recording, playable, heads, missing)
        playable = _playable(order, missing)
        if refusals := refusals or _channel_maps({place: recording.sources[place] for place in playable}, heads):
            return Refused(tuple(refusals))
    if not playable:
        return Refused((Refusal("nothing", None, "no chunk of the recording can be played"),))
    runs = list(_runs(recording, playable, heads)) if len(playable) > 1 else [(playable, None)]
    try:
        parts = [
            _part(recording, run, heads, named)
            for (run, _), named in zip(runs, _named(order, missing, [run for run, _ in runs]), strict=True)
        ]
    except Unjoinable as problem:
        return Refused((Refusal(problem.reason, None, f"the chunks can't be joined: {problem.message}"),))
    except _DAMAGED:
        return Refused((Refusal("index", None, "the chunks can't be joined: what their indexes say fits no file"),))
    return Joined(
        tuple(
            replace(
                part,
                part=number,
                of=len(parts),
                because=because,
                file_name=file_name(recording.key, part.kind, part=number, of=len(parts), missing=part.missing),
            )
            for number, (part, (_, because)) in enumerate(zip(parts, runs, strict=True), 1)
        )
    )


def _playable(order: Sequence[int], missing: Mapping[int, Missing]) -> list[int]:
    return [place for place in order if place not in missing or missing[place].state == "notProved"]


def _read_all(
    recording: Recording, places: Sequence[int], heads: dict[int, Head], missing: dict[int, Missing]
) -> Generator[Range, bytes, list[Refusal]]:
    """Read the heads of chunks; what was delivered damaged, so that nothing plays, is missing from then on."""
    refusals, tables = [], 0
    for place in places:
        source = recording.sources[place]
        try:
            heads[place] = head = yield from _of_chunk(place, _head(source))
        except (Unjoinable, *_DAMAGED) as error:
            problem = error if isinstance(error, Unjoinable) else Unjoinable("index", "its index is damaged")
            name = f"chunk {source.index}"
            if source.verdict == "truncated" and problem.reason == "index":
                missing[place] = Missing(source.index, "damaged", f"{name} is damaged: {problem.message}")
            else:
                message = f"{name} can't be joined: {problem.message}"
                refusals.append(Refusal(problem.reason, source.index, message))
            continue
        tables += head.index_bytes if isinstance(head, Mp4Head) else 0
        if tables > LARGEST_TABLES:
            message = f"the tables of its chunks have more than {LARGEST_TABLES} bytes"
            return [*refusals, Refusal("tooLarge", None, message)]
    return refusals


def _head(source: Source) -> Walk[Head]:
    """Return the walk that reads the head of a chunk."""
    size = source.size or 0
    match source.kind:
        case "mp4":
            return mp4.read(size)
        case "wav":
            return wav.read(size)
        case _:
            return mp3.read(size, source.media_ms if source.verdict == "complete" else None)


def _of_chunk(place: int, walk: Walk[Head]) -> Generator[Range, bytes, Head]:
    """Ask for the spans of one chunk."""
    try:
        span = next(walk)
        while True:
            span = walk.send((yield Range(place, span.offset, span.end)))
    except StopIteration as done:
        head: Head = done.value
        return head


def _runs(
    recording: Recording, places: Sequence[int], heads: Mapping[int, Head]
) -> Iterator[tuple[list[int], Refusal | None]]:
    """Divide the chunks where one is coded differently from those before it; with each run the reason of that."""
    run: list[int] = []
    because: Refusal | None = None
    for place in places:
        differs = _difference(heads[run[0]], heads[place]) if run else None
        if differs:
            reason, message = differs
            yield run, because
            index, first = recording.sources[place].index, recording.sources[run[0]].index
            because = Refusal(reason, index, f"chunk {index} {message.format(first=f'chunk {first}')}")
            run = []
        run.append(place)
    yield run, because


def _difference(first: Head, head: Head) -> tuple[Reason, str] | None:
    match first, head:
        case Mp4Head(), Mp4Head():
            return mp4.difference(first, head)
        case WavHead(), WavHead():
            return wav.difference(first, head)
        case Mp3Head(), Mp3Head():
            return mp3.difference(first, head)
        case _:
            raise AssertionError("all chunks have one format")


def _part(recording: Recording, run: Sequence[int], heads: Mapping[int, Head], missing: Sequence[Missing]) -> Part:
    """Return the file of some chunks."""
    if len(run) == 1:
        return _chunk_itself(recording, run[0], missing)
    start = recording.sources[run[0]].start or recording.start
    about = About(f"Recording of {start:%Y-%m-%d %H:%M:%S}Z", f"{recording.key}, revision {recording.revision}", start)
    found = [heads[place] for place in run]
    match found[0]:
        case Mp4Head():
            mp4s = [(place, head) for place in run if isinstance(head := heads[place], Mp4Head)]
            media = mp4_join.join(mp4s)
            begins, seconds = media.begins, media.seconds
            chapters, places = _described(recording, run, begins, seconds, missing)
            pieces = [*mp4_head.write(media, chapters, about, mp4s[0][1]), *media.pieces]
        case WavHead():
            wavs = [(place, head) for place in run if isinstance(head := heads[place], WavHead)]
            pieces, begins, seconds = wav.join(wavs)
            chapters, places = _described(recording, run, begins, seconds, missing)
        case Mp3Head():
            mp3s = [(place, head) for place in run if isinstance(head := heads[place], Mp3Head)]
            begins, seconds = mp3.times([head for _, head in mp3s])
            chapters, places = _described(recording, run, begins, seconds, missing)
            pieces = mp3.join(mp3s, chapters, title=about.title, comment=about.comment, seconds=seconds)
    left_out = [
        f"chunk {recording.sources[place].index}: a track {name!r} is left out"
        for place in run
        if isinstance(head := heads[place], Mp4Head)
        for name in head.left_out
    ]
    kind = recording.sources[run[0]].kind
    assert kind is not None  # noqa: S101 - others are refused
    return Part(
        kind=kind,
        pieces=tuple(pieces),
        chunks=places,
        file_name="",
        seconds=float(seconds),
        chapters=chapters,
        missing=tuple(missing),
        remarks=tuple(left_out),
    )


def _described(
    recording: Recording,
    run: Sequence[int],
    begins: Sequence[Fraction],
    seconds: Fraction,
    missing: Sequence[Missing],
) -> tuple[tuple[Chapter, ...], tuple[Place, ...]]:
    """Return the chapters of a file, and where its chunks are."""
    ends = [*begins[1:], max(seconds, begins[-1])]
    places = tuple(
        Place(place, recording.sources[place].index, float(begin), float(end - begin))
        for place, begin, end in zip(run, begins, ends, strict=True)
    )
    return chapters_of(recording.timeline, places, missing), places


def _named(order: Sequence[int], missing: Mapping[int, Missing], runs: Sequence[Sequence[int]]) -> list[list[Missing]]:
    """Return what is missing in front of or among the chunks of each run; with the last one what is behind it, too."""
    found: list[list[Missing]] = [[] for _ in runs]
    ends = [order.index(run[-1]) for run in runs[:-1]]
    for number, place in enumerate(order):
        if place in missing:
            found[bisect_left(ends, number)].append(missing[place])
    return found


def _missing(source: Source) -> Missing | None:
    """Return what is wrong with a chunk, as far as the manifest says it; None if nothing is."""
    name = f"chunk {source.index}"
    if source.size is None:
        if source.state == "waiting":
            return Missing(source.index, "waiting", f"{name} is not in storage yet")
        return Missing(source.index, "lost", f"{name} is lost")
    if source.verdict in _NOT_MEDIA or not source.size:
        return Missing(source.index, "damaged", f"{name} is not media: {source.size} bytes that nothing plays")
    if source.state != "proved":
        return Missing(source.index, "notProved", f"{name} is not proved")
    return None


def _mixed_formats(sources: Sequence[Source]) -> list[Refusal]:
    """Return why chunks of these formats are not joined: one refusal for each that isn't of the first one's format."""
    found = []
    for source in sources:
        if source.kind is None:
            message = f"chunk {source.index} is of a format that can't be joined"
            found.append(Refusal("mixedFormats", source.index, message))
        elif source.kind != sources[0].kind and sources[0].kind:
            message = f"chunk {source.index} is {source.kind}, chunk {sources[0].index} is {sources[0].kind}"
            found.append(Refusal("mixedFormats", source.index, message))
    return found


def _channel_maps(playable: Mapping[int, Source], heads: Mapping[int, Head]) -> list[Refusal]:
    """Return why unmixed sound is not joined: one refusal for each chunk whose channels are other participants'.

    Nobody who hears the file could say who speaks. Several channels without a metadata file may be anyone's.
    """
    found = []
    sources = list(playable.values())
    is_unknown = not any(source.channels for source in sources) and any(
        isinstance(head := heads.get(place), WavHead) and head.channels > 1 and not source.is_mixed
        for place, source in playable.items()
    )
    for source in sources[1:]:
        mine, other = source.channels, sources[0].channels
        if mine == other and not is_unknown:
            continue
        name, first = f"chunk {source.index}", f"chunk {sources[0].index}"
        message = f"the channels of {name} are not those of the same participants as in {first}"
        if not mine or not other:
            message = f"nothing says whose the channels of {name if not mine else first} are"
        found.append(Refusal("channelMap", source.index, message))
    return found


def _chunk_itself(recording: Recording, place: int, missing: Sequence[Missing]) -> Part:
    source = recording.sources[place]
    assert source.kind is not None  # noqa: S101 - others are refused
    seconds = None if source.media_ms is None else source.media_ms / 1000
    places = (Place(place, source.index, 0.0, seconds or 0.0),)
    return Part(
        kind=source.kind,
        pieces=(Range(place, 0, source.size or 0),),
        chunks=places,
        file_name="",
        seconds=seconds,
        chapters=chapters_of(recording.timeline, places, missing),
        missing=tuple(missing),
    )
