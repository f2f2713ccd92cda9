"""What `/v1/operations` is asked and answers: the lists of what needs an operator. `operations.py` reads them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from recording.catalogue.browse import PageQuery, RecordingList
from recording.model.index import TimerRan
from recording.model.record import Body, Record

Part = Literal["timer", "waiting", "lost", "truncated", "notAnnounced", "quarantined", "deadLetters", "queues"]


class DaysQuery(PageQuery):
    """Query of a list that goes back a number of days."""

    days: int = Field(default=7, ge=1, le=31)


class OperationsQuery(Record, populate_by_name=False):
    """Query of `GET /v1/operations`: how far back to look, and the most of each list."""

    days: int = Field(default=7, ge=1, le=31)
    limit: int = Field(default=20, ge=1, le=100)


class WaitingChunk(Record):
    """A chunk that isn't safe, of which an attempt has failed, or which is at risk.

    `deadline` is when ACS may delete it; `at_risk` says that this is closer than RISK_HOURS. `code` and `reason` are
    those of the last attempt that failed. `next_try` is when the timer queues it again at the latest.
    """

    recording_key: str
    recording_id: str | None = None
    server_call_id: str | None = None
    reference: str | None = None
    index: int
    document_id: str
    deadline: datetime
    hours_left: float
    at_risk: bool
    attempts: int
    code: str | None = None
    reason: str | None = None
    failed_at: datetime | None = None
    queued_at: datetime | None = None
    next_try: datetime


class WaitingList(Body):
    """Chunks that fail or are at risk, the least time left first.

    A page may have fewer than the limit, or none, and still a next one: what is safe by now is left out.
    """

    chunks: list[WaitingChunk]
    cursor: str | None = None
    next_link: str | None = None


class UnannouncedRecording(Record):
    """A recording that was stopped through this app, and that no file event has announced in time.

    `deadline` is when ACS may have deleted it.
    """

    recording_id: str
    conversation_id: str | None = None
    reference: str | None = None
    stopped_at: datetime
    stopped_by: str | None = None
    deadline: datetime
    hours_left: float


class UnannouncedList(Body):
    """Recordings that were never announced, the oldest stop first."""

    recordings: list[UnannouncedRecording]
    cursor: str | None = None
    next_link: str | None = None


class QuarantinedItem(Record):
    """An event that could not be understood, and why; `event_key` names it for a replay."""

    event_key: str
    received_at: datetime
    reasons: list[str]
    bytes: int


class QuarantinedList(Body):
    """Events in quarantine that were not accepted since, the newest day first."""

    events: list[QuarantinedItem]
    cursor: str | None = None
    next_link: str | None = None


class QuarantinedDetail(QuarantinedItem):
    """One event; its text only for whoever may know people, since it may name some."""

    replayed_at: datetime | None = None
    event: str | None = None


class DeadLetter(Record):
    """A blob with events that Event Grid gave up; `reason` is what it says of the first."""

    blob: str
    written_at: datetime | None = None
    bytes: int
    events: int
    reason: str | None = None


class DeadLetterList(Body):
    """Blobs of the dead-letter container, the newest day first."""

    blobs: list[DeadLetter]
    cursor: str | None = None
    next_link: str | None = None


class QueueDepth(Record):
    """About how many messages a queue has, and how many it gave up."""

    name: str
    messages: int
    poison: int


class Unread(Record):
    """A part that could not be read, and why."""

    part: Part
    reason: str


class OperationsView(Body):
    """What needs an operator, as of a moment: the first page of each list.

    `timer` is missing until the timer has run. `lost` and `truncated` are recordings that started in the last `days`,
    `quarantined` and `deadLetters` events of them.
    """

    as_of: datetime
    days: int
    timer: TimerRan | None = None
    waiting: WaitingList | None = None
    lost: RecordingList | None = None
    truncated: RecordingList | None = None
    not_announced: UnannouncedList | None = None
    quarantined: QuarantinedList | None = None
    dead_letters: DeadLetterList | None = None
    queues: list[QueueDepth] | None = None
    unread: list[Unread]
