"""Pure: the types of event that the app handles, as frozen values; `event_parser` creates them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.eventgrid import SystemEventNames

from recording.model import layout
from recording.model.options import ChannelType, ContentType, FormatType
from recording.model.payload import CallState


@dataclass(frozen=True)
class AnnouncedChunk:
    """One media file that a file event announces.

    Events of the Call Automation API have its location (docs/acs-contract.md#file-event). `source_id` is its id at ACS,
    if that can't be part of a blob's name: then `document_id` is derived from it.
    """

    document_id: str
    index: int
    end_reason: str | None
    content_location: str | None = None
    metadata_location: str | None = None
    delete_location: str | None = None
    source_id: str | None = None


FILE_STATUS_UPDATED = SystemEventNames.AcsRecordingFileStatusUpdatedEventName.value
CALL_STARTED = SystemEventNames.AcsCallStartedEventName.value
CALL_ENDED = SystemEventNames.AcsCallEndedEventName.value
CALL_LEG_STATE_CHANGED = "Microsoft.Communication.CallLegStateChanged"
# The first until 2022, then the second (docs/acs-contract.md#preview-callbacks).
CALL_RECORDING_STATE_CHANGED = "Microsoft.Communication.CallRecordingStateChanged"
RECORDING_STATE_CHANGED = "Microsoft.Communication.RecordingStateChanged"
START_RECORDING_FAILED = "Microsoft.Communication.StartRecordingFailed"

_LONGEST_DURATION = timedelta(days=365)


@dataclass(frozen=True)
class CallLegStateChanged:
    """A call leg of the calling app changed state (docs/acs-contract.md#2021-callbacks).

    `conversation_id` is None while `state` is Establishing. An event without a leg has its own id as `call_leg_id`.
    """

    id: str
    time: datetime | None
    call_leg_id: str
    conversation_id: str | None
    state: CallState


@dataclass(frozen=True)
class RecordingStateChanged:
    """A recording became active or inactive; a paused one is reported as inactive.

    See docs/acs-contract.md#2021-callbacks, #callbacks.
    """

    id: str
    time: datetime | None
    recording_id: str
    conversation_id: str | None
    state: str
    server_call_id: str | None = None


@dataclass(frozen=True)
class StartRecordingFailed:
    """A start that ACS had accepted failed (docs/acs-contract.md#callbacks)."""

    id: str
    recording_id: str | None
    server_call_id: str | None
    correlation_id: str | None
    code: int | None
    sub_code: int | None
    message: str | None


@dataclass(frozen=True)
class CallStarted:
    """A call started; its server call id is what the Call Automation API records (docs/acs-contract.md#file-event)."""

    id: str
    server_call_id: str
    correlation_id: str | None
    group_id: str | None
    room_id: str | None


@dataclass(frozen=True)
class CallEnded:
    """A call ended, and with it its recording (docs/acs-contract.md#states, #file-event)."""

    id: str
    server_call_id: str
    correlation_id: str | None
    group_id: str | None
    room_id: str | None
    seconds: float | None


@dataclass(frozen=True)
class FileStatusUpdated:
    """A recording's files are ready (docs/acs-contract.md#2021-file-event, #file-event).

    `chunks` are to be ingested; `exported` are in the team's own storage already (docs/acs-contract.md#own-storage).
    `problems` lists what may leave bytes unfetched, such as an entry that names no document: the other chunks are
    ingested nevertheless, and the event is quarantined as well. `derived` lists what was missing or wrong and only
    names: a substitute was derived from what every delivery of the event says.
    `time` is a claim. `received_at` is by the app's own clock: the store knows it, the parser doesn't.
    """

    id: str
    time: datetime
    call_id: str
    recording_id: str | None
    server_call_id: str | None
    start: datetime
    duration_ms: int | None
    session_end_reason: str | None
    chunks: tuple[AnnouncedChunk, ...]
    problems: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    exported: tuple[AnnouncedChunk, ...] = ()
    content_type: ContentType | None = None
    channel_type: ChannelType | None = None
    format_type: FormatType | None = None
    received_at: datetime | None = None

    @property
    def recording_key(self) -> str:
        """Return the key of the event's recording."""
        return layout.recording_key(self.start, self.call_id)

    @property
    def received(self) -> datetime:
        """Return when the app received it; its own time, where that is unknown."""
        return self.received_at or self.time

    def announced_at(self, retention: timedelta) -> datetime:
        """Return the earliest plausible time at which it announced its chunks; urgency counts from there.

        Not after its receipt; nor so long before it that ACS, which keeps a chunk for `retention`, has deleted it.
        """
        return min(max(self.time, self.received - retention), self.received)

    @property
    def end(self) -> datetime | None:
        """Return when the recording ended, as computed from its start and duration."""
        return recording_end(self.start, self.duration_ms)


@dataclass(frozen=True)
class OtherEvent:
    """An event of a type that the app ignores."""

    id: str
    type: str


Event = (
    CallLegStateChanged
    | RecordingStateChanged
    | StartRecordingFailed
    | CallStarted
    | CallEnded
    | FileStatusUpdated
    | OtherEvent
)


def recording_end(start: datetime, duration_ms: int | None) -> datetime | None:
    """Return when a recording ended; None if its duration is unknown or not plausible."""
    if duration_ms is None or not 0 <= duration_ms <= _LONGEST_DURATION / timedelta(milliseconds=1):
        return None
    return start + timedelta(milliseconds=duration_ms)
