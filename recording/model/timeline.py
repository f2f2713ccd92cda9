"""Pure: where on the clock a recording has media, and where it has none."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from recording.model.metadata_file import Pause, later
from recording.model.record import Record

SpanKind = Literal["recorded", "paused", "gap", "lost", "notProved"]
# Chunks join within a fraction of a second; what is longer is worth a word.
_JOINED = timedelta(seconds=1)
_ZERO = timedelta(0)


class Span(Record):
    """A part of a recording's time, from `begin` to `end`.

    recorded, notProved: the media of one chunk, from `offset_ms` in it on; not proved: what storage has of it is not
    compared with what the source sent, or not there yet.
    lost: chunks that are gone. Several, if nothing says where one of them ended; of no length, if nothing says that.
    paused: a pause, within a chunk or between two. gap: more than a second without media and without a pause.
    `chunks` are the indexes of its chunks; none for a pause or a gap.
    """

    kind: SpanKind
    begin: datetime
    end: datetime
    chunks: tuple[int, ...] = ()
    offset_ms: int | None = None


@dataclass(frozen=True)
class Piece:
    """What is known of one chunk: `kind` of its media, what its metadata file says, and the length of its media."""

    index: int
    kind: Literal["recorded", "lost", "notProved"]
    start: datetime | None = None
    duration_ms: float | None = None
    media_ms: float | None = None
    pauses: tuple[Pause, ...] = ()


def draw(pieces: Sequence[Piece], *, begin: datetime, end: datetime | None) -> tuple[Span, ...]:
    """Draw the timeline of a recording, in the order of time; spans don't overlap.

    `begin` and `end` are those of the recording, by its event; they bound only what is lost or has no time of its own.
    """
    ordered = _order(pieces)
    pauses = _union(pause for piece in ordered for pause in piece.pauses)
    spans: list[Span] = []
    reached: datetime | None = None
    for piece, following in zip(ordered, _following(ordered), strict=True):
        first, last = _bounds(piece, reached or begin, following, end)
        if piece.start and reached and first > reached:
            spans += _between(reached, first, pauses)
        if piece.kind == "lost":
            # The length that it claims takes nothing from the chunk after it.
            last = max(min(last, following or last), first)
            spans.append(Span(kind="lost", begin=first, end=last, chunks=(piece.index,)))
        else:
            # A chunk of no known length, or within another one, has a place nevertheless.
            at = Span(kind=piece.kind, begin=first, end=first, chunks=(piece.index,), offset_ms=0)
            spans += list(_media(piece, piece.start or first, last, pauses, since=first)) or [at]
        reached = max(last, reached or last)
    return tuple(_join_lost(spans))


def _order(pieces: Sequence[Piece]) -> list[Piece]:
    """Order chunks by their start; one without a time comes after the chunks whose index is smaller."""
    timed = sorted(((piece.start, piece.index, piece) for piece in pieces if piece.start), key=lambda one: one[:2])
    places = {id(piece): number for number, (*_, piece) in enumerate(timed, 1)}
    place = 0
    found: list[tuple[int, int, Piece]] = []
    # At one index those without a time come first.
    for piece in sorted(pieces, key=lambda piece: (piece.index, piece.start is not None)):
        if piece.start is None:
            found.append((place, piece.index, piece))
        else:
            place = max(place, places[id(piece)])
            found.append((places[id(piece)], -1, piece))
    return [piece for *_, piece in sorted(found, key=lambda one: one[:2])]


def _following(ordered: Sequence[Piece]) -> list[datetime | None]:
    """Return for each chunk the start of the next one that has a time."""
    found: list[datetime | None] = []
    following = None
    for piece in reversed(ordered):
        found.append(following)
        following = piece.start or following
    return found[::-1]


def _bounds(
    piece: Piece, reached: datetime, following: datetime | None, end: datetime | None
) -> tuple[datetime, datetime]:
    """Return when a chunk begins and ends; without a time of its own it reaches from its neighbour to the next one."""
    first = max(piece.start, reached) if piece.start else reached
    length = _length(piece, following)
    if length is not None:
        return first, max(later(piece.start or first, length), first)
    return first, max(following or end or first, first)


def _length(piece: Piece, following: datetime | None) -> timedelta | None:
    """Return how long a chunk lasted on the clock, with its pauses; None if nothing says it.

    Whether `chunkDuration` counts pauses is unknown (docs/acs-contract.md#2021-metadata-file), so that is decided from
    what else is known: the length of the media, a pause that began after it, the start of the next chunk.
    """
    media = None if piece.media_ms is None else timedelta(milliseconds=piece.media_ms)
    # A pause before its start lies between it and the chunk before.
    first = piece.start or datetime.min.replace(tzinfo=UTC)
    own = _within(_union(piece.pauses), first, datetime.max.replace(tzinfo=UTC))
    paused = sum((until - since for since, until in own), _ZERO)
    if piece.duration_ms is None:
        return None if media is None else media + paused
    said = timedelta(milliseconds=piece.duration_ms)
    if not paused or piece.start is None:
        return said
    if media is not None:
        counts_pauses = abs(said - paused - media) < abs(said - media)
    elif any(since > later(piece.start, said) for since, _ in own):
        counts_pauses = False
    else:
        counts_pauses = following is not None and later(piece.start, said + paused) - following > _JOINED
    return said if counts_pauses else said + paused


def _media(
    piece: Piece, start: datetime, end: datetime, pauses: Sequence[tuple[datetime, datetime]], *, since: datetime
) -> Iterable[Span]:
    """Return the spans of a chunk's media, and of the pauses between; what lies before `since` is another chunk's."""
    offset, at = _ZERO, start
    for pause in [*_within(pauses, start, end), (end, end)]:
        begin = max(at, since)
        if pause[0] > begin:
            ms = round((offset + begin - at) / timedelta(milliseconds=1))
            yield Span(kind=piece.kind, begin=begin, end=pause[0], chunks=(piece.index,), offset_ms=ms)
        if pause[1] > max(pause[0], since):
            yield Span(kind="paused", begin=max(pause[0], since), end=pause[1])
        offset, at = offset + pause[0] - at, pause[1]


def _between(begin: datetime, end: datetime, pauses: Sequence[tuple[datetime, datetime]]) -> Iterable[Span]:
    """Return the pauses and the gaps between two chunks."""
    at = begin
    for pause in [*_within(pauses, begin, end), (end, end)]:
        if pause[0] - at > _JOINED:
            yield Span(kind="gap", begin=at, end=pause[0])
        if pause[1] > pause[0]:
            yield Span(kind="paused", begin=pause[0], end=pause[1])
        at = pause[1]


def _union(pauses: Iterable[Pause | tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return pauses in order, those that overlap as one."""
    found: list[tuple[datetime, datetime]] = []
    for begin, end in sorted((one.start, one.end) if isinstance(one, Pause) else one for one in pauses):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def _within(
    pauses: Sequence[tuple[datetime, datetime]], begin: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """Return the parts of pauses that lie between two times; the pauses are in order, and none overlaps another."""
    first = bisect_right(pauses, begin, key=lambda pause: pause[1])
    last = bisect_left(pauses, end, key=lambda pause: pause[0])
    return [(max(one[0], begin), min(one[1], end)) for one in pauses[first:last] if one[1] > one[0]]


def _join_lost(spans: Sequence[Span]) -> Iterable[Span]:
    """Join lost chunks that follow each other where the one before has no length: nothing says where it ended."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        is_one = last is not None and last.kind == span.kind == "lost" and last.begin == last.end != span.end
        if last is not None and (is_one or (span.kind == last.kind == "lost" and span.begin == span.end)):
            joined[-1] = last.model_copy(update={"end": span.end, "chunks": (*last.chunks, *span.chunks)})
        else:
            joined.append(span)
    return joined
