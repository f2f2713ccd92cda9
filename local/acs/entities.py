"""What the emulated service keeps: calls, recordings and chunks, and the effects of a change."""

from dataclasses import dataclass, field
from datetime import datetime

from local.acs import identifiers
from local.acs.contents import Content, Digest
from local.acs.errors import Conflict
from local.acs.timeline import Participant, Pause, Timeline

# acs-contract 2.8 lists both without saying when which; the emulator uses the second for a stop by API.
CALL_ENDED, INITIATOR_LEFT = "CallEnded", "InitiatorLeft"

# Below this a chunk could not hold one frame and its index.
MINIMUM_CHUNK_BYTES = 100_000


@dataclass(frozen=True)
class Settings:
    """What can be changed while the emulator runs."""

    chunk_maximum_bytes: int = 1_500_000_000
    retention_hours: float = 48.0
    announce_delay_seconds: float = 1.0


@dataclass(frozen=True)
class Media:
    """What a recording is made of: video, or filler with one size per chunk (empty: video)."""

    filler_bytes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """One media file in temporary storage, with its metadata file; duration in milliseconds."""

    document_id: str
    index: int
    content: Content
    digest: Digest
    metadata: bytes
    etag: str
    duration_ms: float
    end_reason: str


@dataclass
class Call:
    """One call, from established until terminated."""

    call_id: str
    call_leg_id: str
    conversation_url: str
    group_id: str
    callback_uri: str | None
    media: Media
    started: datetime
    participants: list[Participant]
    ended: datetime | None = None

    @property
    def conversation_id(self) -> str:
        """Return the id that the 2021 API takes in the path."""
        return identifiers.conversation_id(self.conversation_url)


@dataclass
class Recording:
    """One recording, while it runs and after."""

    recording_id: str
    call: Call
    start: datetime
    callback_uri: str | None = None
    pauses: list[Pause] = field(default_factory=list)
    end: datetime | None = None
    session_end_reason: str = CALL_ENDED
    stored: datetime | None = None
    chunks: list[Chunk] = field(default_factory=list)
    event_id: str = field(default_factory=identifiers.new_guid)
    announced: datetime | None = None

    @property
    def paused(self) -> bool:
        """Tell whether a pause is open."""
        return bool(self.pauses) and self.pauses[-1].end is None

    @property
    def state(self) -> str:
        """Return ``active``, ``inactive`` (paused) or ``ended``; the API only ever shows the first two."""
        if self.end is not None:
            return "ended"
        return "inactive" if self.paused else "active"

    def timeline(self) -> Timeline:
        """Return what was recorded; only an ended recording has a timeline."""
        if self.end is None:
            raise Conflict("The recording has not ended.")
        return Timeline(self.start, self.end, tuple(self.pauses), tuple(self.call.participants))


@dataclass(frozen=True)
class CallLegChanged:
    """A call leg entered ``Establishing``, ``Established``, ``Terminating`` or ``Terminated``."""

    call: Call
    state: str


@dataclass(frozen=True)
class RecordingChanged:
    """A recording became ``active`` or ``inactive``."""

    recording: Recording
    state: str


@dataclass(frozen=True)
class RecordingEnded:
    """A recording is over: its media is to be made and announced."""

    recording: Recording


Effect = CallLegChanged | RecordingChanged | RecordingEnded
