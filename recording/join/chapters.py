"""Pure: the chapters of a joined file: where chunks, pauses, gaps and losses are.

The timeline of the file has no gaps, the clock has: each chapter begins with the time of day in UTC. There are no names
of participants in it: a file that was saved is out of reach of an erasure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recording.join.parts import Chapter, Missing, Place
from recording.model.timeline import Span


@dataclass
class Mark:
    """A place at which media begins: of which chunk, how far in it, at what time, and what was before it."""

    index: int
    offset: float
    time: datetime
    before: list[str] = field(default_factory=list)


def chapters(timeline: Sequence[Span], places: Sequence[Place], missing: Sequence[Missing]) -> tuple[Chapter, ...]:
    """Return the chapters of a part that has these chunks; `missing` are those that are named in it."""
    marks, behind = _marks(timeline, {one.index: one for one in missing if one.state != "notProved"})
    unproved = {one.index for one in missing if one.state == "notProved"}
    found: list[Chapter] = []
    for place in places:
        here: list[Mark | None] = [mark for mark in marks if mark.index == place.index]
        for number, mark in enumerate(here or [None]):
            at = place.begins_at + (mark.offset if mark and number else 0)
            if number and not place.begins_at < at < place.begins_at + place.seconds:
                continue
            name = f"chunk {place.index}" if not number else f"chunk {place.index}, continued"
            notes = [
                *(["not proved"] if place.index in unproved and not number else []),
                *(mark.before if mark else []),
            ]
            found.append(Chapter(at, _title(mark, name, notes)))
    if not found:
        return ()
    last = [note for note in behind if _is_named_here(note, missing)] if places else []
    named = " ".join([*(one.title for one in found), *last])
    last += [one.why for one in missing if not _names(named, one.index)]
    if last:
        found[-1] = Chapter(found[-1].at, f"{found[-1].title} (then {'; '.join(last)})")
    return tuple(found)


def length(time: timedelta) -> str:
    """Return a length in words.

    >>> length(timedelta(seconds=3725))
    '1 h 2 min 5 s'
    """
    seconds = round(time.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "less than 1 s"


def _marks(timeline: Iterable[Span], missing: Mapping[int, Missing]) -> tuple[list[Mark], list[str]]:
    """Return where media begins, and what is behind all of it."""
    marks: list[Mark] = []
    notes: list[str] = []
    for span in timeline:
        gone = [index for index in span.chunks if index in missing or span.kind == "lost"]
        if gone:
            notes.append(_gone(gone, missing, span))
        elif span.kind == "paused":
            notes.append(f"after a pause of {length(span.end - span.begin)}")
        elif span.kind == "gap":
            notes.append(f"after {length(span.end - span.begin)} without media")
        else:
            marks.append(Mark(span.chunks[0], (span.offset_ms or 0) / 1000, span.begin, notes))
            notes = []
    return marks, notes


def _gone(indexes: Sequence[int], missing: Mapping[int, Missing], span: Span) -> str:
    lasted = f": {length(span.end - span.begin)}" if span.end > span.begin else ""
    if len(indexes) == 1:
        one = missing.get(indexes[0])
        return f"{one.why if one else f'chunk {indexes[0]} is lost'}{lasted}"
    return f"chunks {', '.join(map(str, indexes))} are lost{lasted}"


def _is_named_here(note: str, missing: Sequence[Missing]) -> bool:
    return any(_names(note, one.index) for one in missing)


def _names(text: str, index: int) -> bool:
    """Return whether a text names a chunk, by itself or in a list; a time or a length is no name."""
    return re.search(rf"\bchunks? (\d+, )*{index}\b", text) is not None


def _title(mark: Mark | None, name: str, notes: Sequence[str]) -> str:
    time = f"{mark.time:%H:%M:%S}Z · " if mark else ""
    return f"{time}{name}{f' ({"; ".join(notes)})' if notes else ''}"
