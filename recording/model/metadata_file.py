"""What a chunk's metadata file says: when it was recorded, its pauses, and who was in the call; `payload` reads it.

See docs/acs-contract.md#2021-metadata-file, #metadata-file.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from pydantic import ValidationError

from recording.model.record import Record, to_header

# Of the 8 KiB that the metadata of a blob have in all: some forty participants.
LARGEST_NOTE = 4096

ParticipantKind = Literal["acs", "phone", "teams", "bot", "unknown"]
# docs/acs-contract.md#2021-metadata-file has the first; the others are the documented forms of a raw id.
_KINDS: tuple[tuple[str, ParticipantKind], ...] = (
    ("8:acs:", "acs"),
    ("8:spool:", "acs"),
    ("8:dod-acs:", "acs"),
    ("8:gcch-acs:", "acs"),
    ("4:", "phone"),
    ("8:orgid:", "teams"),
    ("8:teamsvisitor:", "teams"),
    ("28:", "bot"),
)


def participant_kind(participant_id: str) -> ParticipantKind:
    """Return what kind of participant an id names.

    >>> participant_kind("4:+14255550123")
    'phone'
    """
    return next((kind for start, kind in _KINDS if participant_id.lower().startswith(start)), "unknown")


def later(time: datetime, length: timedelta) -> datetime:
    """Return the time after a length, or the last one of the calendar: lengths come from outside."""
    try:
        return time + length
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


class Pause(Record):
    """A pause: when it began, and its length in milliseconds."""

    start: datetime
    ms: float

    @property
    def end(self) -> datetime:
        """Return when it ended."""
        return later(self.start, timedelta(milliseconds=self.ms))


class Speaker(Record):
    """A participant of a chunk; `channel` is of their own, where sound isn't mixed."""

    id: str
    channel: int | None = None


class MetadataFile(Record):
    """What the metadata file of one chunk says; what it doesn't say, or can't be read, is None or empty."""

    start: datetime | None = None
    duration_ms: float | None = None
    pauses: tuple[Pause, ...] = ()
    speakers: tuple[Speaker, ...] = ()

    def to_note(self) -> str | None:
        """Write it as one value of a blob's metadata, in ASCII; None if it has no room there."""
        text = to_header(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        return text if len(text) <= LARGEST_NOTE else None

    @classmethod
    def from_note(cls, text: str | None) -> Self | None:
        """Read what `to_note` wrote; None if there is nothing: an older version wrote none."""
        try:
            return cls.model_validate_json(text) if text else None
        except ValidationError:
            return None
