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

from collections.abc import Generator, Sequence

from recording.formats.verdict import Kind
from recording.join.names import file_name
from recording.join.parts import Chapter, Joined, Missing, Part, Place, Range
from recording.join.refusals import Refusal, Refused
from recording.join.sources import Recording, Source

# Asks for ranges of chunks, is sent their bytes (exactly as many), and returns the plan.
type Planning = Generator[Range, bytes, Joined | Refused]

_NOT_MEDIA = ("not media", "error page", "empty")


def plan(recording: Recording) -> Planning:
    """Plan the joined file of a recording.

    Nothing is read where that can't change the result: if there is one chunk it is the file.
    """
    order = recording.in_order()
    missing = [(place, one) for place in order if (one := _missing(recording.sources[place]))]
    left_out = {place for place, one in missing if one.state != "notProved"}
    playable = [place for place in order if place not in left_out]
    if not playable:
        return Refused((Refusal("nothing", None, "no chunk of the recording can be played"),))
    if refusals := _mixed_formats([recording.sources[place] for place in playable]):
        return Refused(tuple(refusals))
    kind = recording.sources[playable[0]].kind
    assert kind is not None  # noqa: S101 - refused above
    if len(playable) == 1:
        return Joined((_chunk_itself(recording, playable[0], kind, [one for _, one in missing]),))
    yield from ()
    raise NotImplementedError


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


def _chunk_itself(recording: Recording, place: int, kind: Kind, missing: Sequence[Missing]) -> Part:
    source = recording.sources[place]
    seconds = None if source.media_ms is None else source.media_ms / 1000
    return Part(
        kind=kind,
        pieces=(Range(place, 0, source.size or 0),),
        chunks=(Place(place, source.index, 0.0, seconds or 0.0),),
        file_name=file_name(recording.key, kind, part=1, of=1, missing=missing),
        seconds=seconds,
        chapters=(Chapter(0.0, f"chunk {source.index}"),),
        missing=tuple(missing),
    )
