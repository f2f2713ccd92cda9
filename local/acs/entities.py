"""The state of the emulated service: calls, recordings and chunks, and the effects of a change."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from local.acs import identifiers
from local.acs.contents import Content, Digest
from local.acs.errors import Conflict
from local.acs.filler import FileType, Form
from local.acs.timeline import Participant, Pause, Timeline

# docs/acs-contract.md#2021-file-event lists both without their conditions; the emulator uses the second for a stop by
# the API.
CALL_ENDED, INITIATOR_LEFT = "CallEnded", "InitiatorLeft"

# A smaller chunk couldn't contain one frame and its index.
MINIMUM_CHUNK_BYTES = 100_000

# In unmixed audio (docs/acs-contract.md#limits).
MAXIMUM_CHANNELS = 5


# The issuer of the tokens in callbacks of Call Automation (docs/acs-contract.md#callbacks), and the kinds of tokens.
ISSUER = "https://acscallautomation.communication.azure.com"
CallbackToken = Literal["good", "audience", "issuer", "expired", "key", "none"]


@dataclass(frozen=True)
class Settings:
    """What can be changed while the emulator runs.

    The default of ``retention_hours`` depends on the API of the recording (docs/acs-contract.md#limits).
    """

    chunk_maximum_bytes: int = 1_500_000_000
    retention_hours: float | None = None
    announce_delay_seconds: float = 1.0
    redirect_to_region: bool = False
    export_fails: bool = False
    start_accepted: bool = False
    callback_token: CallbackToken = "good"  # noqa: S105 - a kind of token
    issuer: str = ISSUER


@dataclass(frozen=True)
class Hosts:
    """Scheme and authority of the storage host, and of that of the region where the objects are stored."""

    storage: str = ""
    region: str = ""


@dataclass(frozen=True)
class Media:
    """What a recording is made of: video, or filler of a form with one size per chunk (empty: video)."""

    filler_bytes: tuple[int, ...] = ()
    form: Form = "complete"


# The API that a recording was started with: the 2021 preview API ("2021") or Call Automation ("today").
Generation = Literal["2021", "today"]
API_VERSIONS: dict[Generation, str] = {"2021": "2021-04-15-preview1", "today": "2026-03-12"}
RETENTION_HOURS: dict[Generation, float] = {"2021": 48.0, "today": 24.0}


ContentType = Literal["audio", "audioVideo"]
ChannelType = Literal["mixed", "unmixed"]
# The formats that can be recorded, that of the 2021 preview API first (docs/acs-contract.md#start-request).
_FORMATS: tuple[tuple[ContentType, ChannelType, FileType], ...] = (
    ("audioVideo", "mixed", "mp4"),
    ("audio", "mixed", "mp3"),
    ("audio", "mixed", "wav"),
    ("audio", "unmixed", "wav"),
)


def formats(*asked: str | None) -> list[tuple[ContentType, ChannelType, FileType]]:
    """Return the formats with this content, channel type and file type; None matches any."""
    return [line for line in _FORMATS if all(want in (None, has) for want, has in zip(asked, line, strict=True))]


@dataclass(frozen=True)
class Format:
    """The format options of a start; `channels` are raw ids in the order of the channels.

    See docs/acs-contract.md#start-request.
    """

    content_type: ContentType = "audioVideo"
    channel_type: ChannelType = "mixed"
    format_type: FileType = "mp4"
    channels: tuple[str, ...] = ()
    destination: str | None = None


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
    format_type: FileType = "mp4"


@dataclass
class Call:
    """One call."""

    call_id: str
    call_leg_id: str
    conversation_url: str
    group_id: str
    callback_uri: str | None
    media: Media
    started: datetime
    participants: list[Participant]
    ended: datetime | None = None
    room_id: str | None = None
    correlation_id: str = field(default_factory=identifiers.new_guid)

    @property
    def server_call_id(self) -> str:
        """Return the id in Call Automation: the URL in padded base64 (docs/acs-contract.md#server-call-id)."""
        return identifiers.server_call_id(self.conversation_url)

    @property
    def conversation_id(self) -> str:
        """Return the id in the paths of the 2021 preview API."""
        return identifiers.conversation_id(self.conversation_url)


@dataclass
class Recording:
    """One recording, running or ended."""

    recording_id: str
    call: Call
    start: datetime
    callback_uri: str | None = None
    pauses: list[Pause] = field(default_factory=list)
    end: datetime | None = None
    session_end_reason: str = CALL_ENDED
    stored: datetime | None = None
    # When Azure Monitor got its row. It isn't the emulator's time, which tests move ahead: logs are read by real time.
    reported: datetime | None = None
    chunks: list[Chunk] = field(default_factory=list)
    event_id: str = field(default_factory=identifiers.new_guid)
    announced: datetime | None = None
    generation: Generation = "2021"
    api_version: str = API_VERSIONS["2021"]
    format: Format = field(default_factory=Format)
    exported: bool = False

    @property
    def paused(self) -> bool:
        """Return whether the recording is paused."""
        return bool(self.pauses) and self.pauses[-1].end is None

    @property
    def state(self) -> str:
        """Return ``active``, ``inactive`` (paused) or ``ended``; the API only ever shows the first two."""
        if self.end is not None:
            return "ended"
        return "inactive" if self.paused else "active"

    def timeline(self) -> Timeline:
        """Return the timeline; raises Conflict for a recording that hasn't ended."""
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
class StartFailed:
    """An accepted start failed, which only its callback reports (docs/acs-contract.md#operations)."""

    recording_id: str
    callback_uri: str | None
    api_version: str
    call: Call | None
    code: int
    sub_code: int
    message: str


@dataclass(frozen=True)
class RecordingEnded:
    """A recording has ended: its media is to be made and announced."""

    recording: Recording


Effect = CallLegChanged | RecordingChanged | StartFailed | RecordingEnded
