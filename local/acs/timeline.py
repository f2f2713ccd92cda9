"""When a recording ran, when it was paused, and who was in the call."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Participant:
    """A participant of a call, from ``joined`` until ``left`` (None: still in it)."""

    participant_id: str
    display_name: str
    joined: datetime
    left: datetime | None = None

    def present(self, start: datetime, end: datetime) -> bool:
        """Return whether the participant was in the call at some moment of ``start .. end``."""
        return self.joined <= end and (self.left is None or self.left > start)


@dataclass(frozen=True)
class Pause:
    """A pause of a recording, from ``start`` until ``end`` (None: not resumed yet)."""

    start: datetime
    end: datetime | None = None

    def closed(self, end: datetime) -> "Pause":
        """Return the pause, ended at ``end`` if it is open."""
        return self if self.end is not None else Pause(self.start, end)

    def milliseconds(self, until: datetime) -> int:
        """Return the length of the pause; an open one lasts ``until``."""
        return round(((self.end or until) - self.start).total_seconds() * 1000)


@dataclass(frozen=True)
class Timeline:
    """One ended recording in wall-clock time; what was recorded is ``start .. end`` minus the pauses."""

    start: datetime
    end: datetime
    pauses: tuple[Pause, ...] = ()
    participants: tuple[Participant, ...] = field(default=())

    def active(self) -> list[tuple[datetime, datetime]]:
        """Return the recorded intervals in order, without the empty ones."""
        intervals: list[tuple[datetime, datetime]] = []
        cursor = self.start
        for pause in self.pauses:
            closed = pause.closed(self.end)
            intervals.append((cursor, closed.start))
            cursor = closed.end or self.end
        intervals.append((cursor, self.end))
        return [(start, end) for start, end in intervals if end > start]

    def active_seconds(self) -> float:
        """Return the recorded time, which is the duration of the media."""
        return sum((end - start).total_seconds() for start, end in self.active())

    def wall_at(self, seconds: float) -> datetime:
        """Return the wall-clock time at ``seconds`` in the media."""
        moment = self.start
        for start, end in self.active():
            length = (end - start).total_seconds()
            moment = end
            if seconds < length:
                return start + timedelta(seconds=seconds)
            seconds -= length
        return moment

    def present_at(self, moment: datetime) -> tuple[Participant, ...]:
        """Return who was in the call at a moment."""
        return tuple(person for person in self.participants if person.present(moment, moment))

    def present_within(self, start: datetime, end: datetime) -> tuple[Participant, ...]:
        """Return who was in the call at some moment of an interval."""
        return tuple(person for person in self.participants if person.present(start, end))

    def pauses_within(self, start: datetime, end: datetime) -> tuple[Pause, ...]:
        """Return the closed pauses that began in ``start .. end``; the end itself counts only for the last chunk."""
        last = end >= self.end
        return tuple(
            pause.closed(self.end)
            for pause in self.pauses
            if start <= pause.start and (pause.start < end or (last and pause.start <= end))
        )
