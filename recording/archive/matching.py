"""Pure: which announced recording is which stopped one.

Events of Call Automation name the recording; those of the 2021 preview API name its call only, which we don't know
(docs/acs-contract.md#2021-file-event), so an ending and an event are matched by time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from recording.model.pending import PendingEnding

# Our clock and the service's, and the moment that starting or stopping takes.
TOLERANCE = timedelta(seconds=15)


@dataclass(frozen=True)
class AnnouncedRecording:
    """A recording that is announced: known by its recording id, where the event has it, else by its times."""

    key: str
    digest: str | None
    start: datetime
    end: datetime | None


def match_endings(
    pending: Iterable[PendingEnding],
    announced: Iterable[AnnouncedRecording],
    *,
    started: Mapping[str, datetime] | None = None,
) -> dict[PendingEnding, AnnouncedRecording]:
    """Decide which announced recording is which stopped one, each at most once.

    By recording id; where an event has none, by its end or (`started`, by digest) its start, the
    closest first: a recording that was paused took longer than it plays.
    """
    waiting, came = list(pending), list(announced)
    named = {event.digest: event for event in came if event.digest}
    nameless = [event for event in came if event.digest is None]
    found = {one: named[one.digest] for one in waiting if one.digest in named}
    close = [
        (away, one.stopped, one.digest, event.key, one, event)
        for one in waiting
        if one not in found
        for event in nameless
        if (away := _away(one, event, (started or {}).get(one.digest))) <= TOLERANCE
    ]
    taken: set[str] = set()
    for *_, one, event in sorted(close, key=lambda pair: pair[:4]):
        if one not in found and event.key not in taken:
            found[one] = event
            taken.add(event.key)
    return found


def _away(one: PendingEnding, event: AnnouncedRecording, started: datetime | None) -> timedelta:
    """Return the distance of the recording's end to the stop, or of its start to the start; whichever is less."""
    by_end = abs(one.stopped - event.end) if event.end else timedelta.max
    by_start = abs(started - event.start) if started and event.start <= one.stopped else timedelta.max
    return min(by_end, by_start)
