"""Pure: a recording that was started through this app and isn't announced yet, and what is known of its state.

What was asked of the service through this app, and what its events say, each with its time: the later one counts. An
event calls a paused recording inactive, and one that has ended as well (docs/acs-contract.md#2021-states).
"""

from datetime import UTC, datetime
from typing import Literal, Self

from recording.model.record import Record
from recording.model.started import Started

Asked = Literal["pause", "resume", "stop"]
Said = Literal["active", "inactive"]
# ending: it was stopped, and its files are not announced yet.
LiveState = Literal["active", "paused", "ending", "inactive"]
_NEVER = datetime.min.replace(tzinfo=UTC)


class Known(Record):
    """What was asked of the service, and what an event said last."""

    asked: Asked | None = None
    asked_at: datetime | None = None
    said: Said | None = None
    said_at: datetime | None = None

    def state(self) -> tuple[LiveState, datetime | None]:
        """Return the state and since when it is known; None since its start.

        >>> Known(asked="pause", asked_at=_NEVER, said="inactive", said_at=_NEVER).state()[0]
        'paused'
        """
        asked_at, said_at = self.asked_at or _NEVER, self.said_at or _NEVER
        if self.asked is not None and (self.said is None or asked_at >= said_at):
            return _AFTER[self.asked], self.asked_at
        match self.said:
            case None:
                return "active", None
            case "active":
                return "active", self.said_at
            case "inactive" if self.asked == "pause":
                return "paused", self.asked_at
            case "inactive" if self.asked == "stop":
                return "ending", self.asked_at
            case "inactive":
                return "inactive", self.said_at


_AFTER: dict[Asked, LiveState] = {"pause": "paused", "resume": "active", "stop": "ending"}


class LiveRecording(Record):
    """A live recording in a list; `conversation_id` and `recording_id` address its pause, resume and stop.

    `since` is when its state was learned. It is what this app knows: ask for its state to hear the service.
    """

    recording_id: str
    conversation_id: str
    reference: str | None = None
    started_at: datetime | None = None
    state: LiveState
    since: datetime | None = None

    @classmethod
    def of(cls, started: Started, known: Known) -> Self:
        """Return how a list shows it."""
        state, since = known.state()
        return cls(
            recording_id=started.recording_id,
            conversation_id=started.conversation_id,
            reference=started.reference,
            started_at=started.at,
            state=state,
            since=since or started.at,
        )
