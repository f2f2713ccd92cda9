"""Pure: the recordings that were stopped and aren't announced, from the names of their markers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from recording.model import layout


@dataclass(frozen=True)
class PendingEnding:
    """A stopped recording that isn't announced yet; `blobs` are its markers, `reported` whether it was reported."""

    digest: str
    stopped: datetime
    blobs: tuple[str, ...] = ()
    reported: bool = False


def reported_blob(marker: str) -> str:
    """Name the blob that marks the recording of a marker as reported."""
    return marker.removesuffix(".json") + ".told"


def parse_markers(names: Iterable[str]) -> list[PendingEnding]:
    """Parse the names of markers; two of one recording, written at the same time, count as the older one."""
    found: dict[str, PendingEnding] = {}
    listed = sorted(names)
    reported = {name for name in listed if name.endswith(".told")}
    for name in listed:
        key = name.rpartition("/")[2].removesuffix(".json")
        if name in reported or not layout.is_recording_key(key):
            continue
        known = found.get(digest := key.partition("-")[2], PendingEnding(digest, layout.recording_start(key)))
        found[digest] = PendingEnding(
            digest, known.stopped, (*known.blobs, name), known.reported or reported_blob(name) in reported
        )
    return list(found.values())
