"""Pure: the rows of the search index, which follow from the facts of a recording alone.

    PartitionKey                    RowKey
    month:{inverted yyyyMM}         {inverted time}-{recording key}     every recording, newest first
    call:{call id}                  the same                            the recordings of a call
    conversation:{digest}           the same                            … of a conversation
    recording:{digest}              the same                            the recording of a recording id
    participant:{digest}            the same                            … in which somebody took part
    reference:{digest}              the same                            … of a start's `operationContext`
    missing:                        the same                            … of which something is missing
    truncated:                      the same                            … with a file that is not complete media
    hold:                           the same                            … that a case holds
    ends:                           {kept until}-{recording key}        a recording with a retention class that ends
    live:                           {digest of the recording id}        started through this app, not announced yet
    waiting:                        {deadline}-{key}-{document id}      a chunk that failed or is at risk
    timer:                          last                                what the last run of the timer did
    trail:{recording key}           {inverted time}-{fact}              what was done with a recording
    trail:{digest}                  the same                            … while it ran, by its recording id
    erasures:                       {inverted time}-{digest}            what was asked for, and its outcome
    reindex:                        {from}-{to}                         how far `python -m recording reindex` has come
    reindex:                        key                                 with which key the digests were made

Keys, and what filters compare, stand in the platform's logs. So ids of people, conversations and references are in them
as digests, made with a key of this archive. A row is replaced as a whole; deleting the table loses nothing.
"""

import base64
import hashlib
import hmac
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from pydantic import Field

from recording.model import conversation, layout
from recording.model.events import FileStatusUpdated
from recording.model.keeping import NOTHING, Kept
from recording.model.manifest import Manifest
from recording.model.metadata_file import ParticipantKind
from recording.model.participant import normal_participant
from recording.model.record import Record
from recording.model.recording import InFlightRecording
from recording.model.trail import TrailEntry

State = Literal["ingesting", "staged", "archived", "incomplete", "absent"]

MONTHS, MISSING, TRUNCATED, HOLD, ENDS = "month:", "missing:", "truncated:", "hold:", "ends:"
LIVE, WAITING, TIMER, REINDEX = "live:", "waiting:", "timer:", "reindex:"
ERASURES = "erasures:"
# Partitions and columns that are digests.
BY_DIGEST = ("conversation:", "participant:", "recording:", "reference:")
_DIGEST_COLUMNS = ("conversation", "recording", "reference")
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGEST_LENGTH = 32
_URL_SAFE = str.maketrans("+/", "-_")


class Participants(Record):
    """How many took part, as far as metadata files say, and of which kinds."""

    count: int = 0
    kinds: dict[ParticipantKind, int] = Field(default_factory=dict)


class RecordingSummary(Record):
    """A recording in a list: as its row has it.

    `missing` counts the chunks that are lost or not fully in the archive, `truncated` those in the archive whose bytes
    are not complete media. `proof` says how many of its files storage was compared with what the source sent: all, some
    or none. `hold` says whether a case holds it, `kept_until` when its retention class ends; neither: for ever.
    """

    recording_key: str
    recording_id: str | None = None
    server_call_id: str | None = None
    conversation_id: str | None = None
    reference: str | None = None
    call_id: str
    state: State
    recording_start_time: datetime
    recording_duration_ms: int | None = None
    participants: Participants = Participants()
    chunks: int
    bytes: int
    proof: Literal["all", "some", "none"] = "none"
    missing: int = 0
    truncated: int = 0
    hold: bool | None = None
    kept_until: datetime | None = None


class TimerRan(Record):
    """What the last run of the timer did; `not_reached` are recordings for which it had no time."""

    at: datetime
    in_flight: int
    chunks_in_flight: int
    least_hours_left: float | None = None
    handed_over: int
    archived: int
    incomplete: int
    queued_again: int
    failed: int
    not_reached: int


@dataclass(frozen=True)
class Row:
    """One row: where it is, what a list shows of it, and what filters compare.

    `revision` is that of the manifest that it shows, 0 while the recording is in flight: a row never goes back.
    """

    partition: str
    key: str
    summary: RecordingSummary
    revision: int
    conversation: str = ""
    recording: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Digests:
    """Makes the digests in keys and filters, with the archive's own key."""

    key: bytes

    def of(self, kind: str, text: str) -> str:
        """Return the digest of a text of one kind."""
        return hmac.digest(self.key, f"{kind}\0{text}".encode(errors="backslashreplace"), "sha256").hex()[
            :_DIGEST_LENGTH
        ]

    def participant(self, participant_id: str) -> str:
        """Return the digest of a participant: of a phone number as people write it, or of a raw id."""
        return self.of("participant", normal_participant(participant_id))

    def reference(self, reference: str) -> str:
        """Return the digest of a reference."""
        return self.of("reference", reference)

    def witness(self) -> str:
        """Return what tells this key from another, and nothing of it."""
        return self.of("key", "")

    def recording(self, recording_id: str) -> str:
        """Return the digest of a recording id: padded or not, in either alphabet of base64."""
        return self.of("recording", recording_id.rstrip("=").translate(_URL_SAFE))

    def sign(self, payload: str) -> str:
        """Return what only this app can have made of a text, for cursors."""
        return self.of("cursor", payload)


def inverted(time: datetime) -> str:
    """Return a time so that later ones sort first."""
    return f"{(_LAST - time) // _MICROSECOND:018}"


def row_key(recording_key: str) -> str:
    """Return the row key of a recording, in each of its partitions."""
    return f"{inverted(layout.recording_start(recording_key))}-{recording_key}"


def month(time: datetime) -> str:
    """Return the partition of a month; later ones sort first."""
    return f"{MONTHS}{999_999 - (time.year * 100 + time.month):06}"


def call(call_id: str) -> str:
    """Return the partition of a call."""
    return f"call:{call_id.lower()}"


def rows(manifest: Manifest, digests: Digests, kept: Kept = NOTHING) -> list[Row]:
    """Return the rows of a recording, from its manifest: an archived one, or its present state in flight.

    `kept` is what the facts say about holds and retention.
    """
    known = [one for one in (manifest.conversation_id, manifest.server_call_id) if one]
    conversations = dict.fromkeys(digests.of("conversation", one) for one in map(conversation.identity, known) if one)
    recording = digests.recording(manifest.recording_id) if manifest.recording_id else ""
    reference = digests.reference(manifest.reference) if manifest.reference else ""
    summary = summarize(manifest, kept)
    people = dict.fromkeys(digests.participant(one.id) for one in manifest.participants)
    partitions = [
        month(layout.recording_start(manifest.recording_key)),
        *([] if manifest.state == "absent" else [call(manifest.call_id)]),
        *(f"conversation:{one}" for one in conversations),
        *([f"recording:{recording}"] if recording else []),
        *(f"participant:{one}" for one in people),
        *([f"reference:{reference}"] if reference else []),
        *([MISSING] if summary.missing or manifest.state == "absent" else []),
        *([TRUNCATED] if summary.truncated else []),
        *([HOLD] if summary.hold else []),
    ]
    return [
        Row(
            partition,
            row_key(manifest.recording_key),
            summary,
            manifest.revision if manifest.archived_at else 0,
            conversation=next(iter(conversations), ""),
            recording=recording,
            reference=reference,
        )
        for partition in partitions
    ]


def announced(event: FileStatusUpdated) -> Row:
    """Return the row by month of a recording that an event has just announced."""
    summary = RecordingSummary(
        recording_key=event.recording_key,
        recording_id=event.recording_id,
        server_call_id=event.server_call_id,
        call_id=event.call_id,
        state="ingesting",
        recording_start_time=event.start,
        recording_duration_ms=event.duration_ms,
        chunks=len({chunk.document_id for chunk in event.chunks}),
        bytes=0,
    )
    return Row(month(layout.recording_start(event.recording_key)), row_key(event.recording_key), summary, 0)


def ending(recording_key: str, until: datetime) -> str:
    """Return the key of the row that says when a recording's time ends: the earliest sorts first."""
    return layout.recording_key(until, recording_key)


def ended_before(time: datetime) -> str:
    """Return what sorts behind the key of each row of a recording whose time has ended by then."""
    return layout.recording_key(time, "~")


def summarize(manifest: Manifest, kept: Kept = NOTHING) -> RecordingSummary:
    """Return what a list shows of a recording."""
    proved = [entry.is_proved for entry in manifest.chunks]
    is_archived = manifest.archived_at is not None
    return RecordingSummary(
        recording_key=manifest.recording_key,
        recording_id=manifest.recording_id,
        server_call_id=manifest.server_call_id,
        conversation_id=manifest.conversation_id,
        reference=manifest.reference,
        call_id=manifest.call_id,
        state=manifest.state,
        recording_start_time=manifest.recording_start_time,
        recording_duration_ms=manifest.recording_duration_ms,
        participants=Participants(
            count=len(manifest.participants), kinds=Counter(one.kind for one in manifest.participants)
        ),
        chunks=len(manifest.chunks),
        bytes=sum(entry.content.bytes for entry in manifest.chunks if entry.content),
        proof="all" if proved and all(proved) else "some" if any(proved) else "none",
        missing=sum(not entry.is_safe for entry in manifest.chunks) if is_archived else 0,
        truncated=sum(entry.is_truncated for entry in manifest.chunks) if is_archived else 0,
        hold=True if kept.holds else None,
        kept_until=kept.until(manifest.archived_at),
    )


def waiting_rows(recording: InFlightRecording, now: datetime, margin: timedelta) -> dict[str, tuple[str, str]]:
    """Return the rows of the chunks that need attention: {row key: (recording key, document id)}.

    The one with the least time left sorts first. The rows say only which chunks: staging says how they are.
    """
    return {
        layout.recording_key(chunk.deadline, f"{recording.key}-{chunk.document_id}"): (recording.key, chunk.document_id)
        for chunk in recording.chunks
        if chunk.needs_attention(now, margin)
    }


def live_key(recording_id: str) -> str:
    """Return the row key of a live recording."""
    return layout.recording_digest(recording_id)


class Bound(Protocol):
    """What a cursor belongs to."""

    def bind(self) -> str:
        """Return a text that is the same for the same search or list."""
        ...


@dataclass(frozen=True)
class Listing:
    """A list that is no search, by its name."""

    name: str

    def bind(self) -> str:
        """Return its name, which no search has: theirs are JSON arrays."""
        return self.name


def trail(recording: str) -> str:
    """Return the partition with the trail of a recording: by its key, or by the digest of its recording id."""
    return f"trail:{recording}"


# The name of the mark that says since which hour the index has the rows of all facts of the trail.
TRAIL_SINCE = "trail-since"


def trail_row(fact: str, entry: TrailEntry) -> tuple[str, str] | None:
    """Return partition and row key of an entry of the trail, by the name of its fact; None if it names no recording."""
    distinct = fact.rpartition("/")[2].removesuffix(".json").partition("-")[2]
    key = f"{inverted(entry.at)}-{distinct}"
    if entry.recording_key or entry.erasure:
        return trail(entry.recording_key or str(entry.erasure)), key
    return (trail(layout.recording_digest(entry.recording_id)), key) if entry.recording_id else None


@dataclass(frozen=True)
class Search:
    """What to look for: one partition, or all months, within bounds of row keys, and what columns must hold.

    The bounds are inclusive. `columns` are compared by the service: it reads the partition for them.
    """

    first_partition: str
    last_partition: str
    first_key: str
    last_key: str
    columns: tuple[tuple[str, str | bool], ...] = ()

    @property
    def has_digests(self) -> bool:
        """Return whether it finds nothing if rows were made with another key."""
        return self.first_partition.startswith(BY_DIGEST) or any(name in _DIGEST_COLUMNS for name, _ in self.columns)

    def bind(self) -> str:
        """Return a text that is the same for the same search: a cursor belongs to one."""
        return json.dumps([self.first_partition, self.last_partition, self.first_key, self.last_key, self.columns])


def search(
    digests: Digests,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    participant: str | None = None,
    conversation_id: str | None = None,
    call_id: str | None = None,
    recording_id: str | None = None,
    reference: str | None = None,
    state: State | None = None,
    missing: bool | None = None,
    truncated: bool | None = None,
    hold: bool | None = None,
) -> Search:
    """Return where to look: in the partition that has the fewest rows; what that doesn't decide, columns do.

    Raises ValueError for a conversation that is none.
    """
    wanted: dict[str, str | bool] = {}
    if conversation_id is not None:
        identity = conversation.identity(conversation_id)
        if identity is None:
            raise ValueError(
                "must be a conversation id or a server call id: the base64 of a conversation URL, a group call's GUID, "
                "or room:{room id}"
            )
        wanted["conversation"] = digests.of("conversation", identity)
    if call_id is not None:
        wanted["callId"] = call_id.lower()
    if recording_id is not None:
        wanted["recording"] = digests.recording(recording_id)
    if reference is not None:
        wanted["reference"] = digests.reference(reference)
    if state is not None:
        wanted["state"] = state
    if missing is not None:
        wanted["missing"] = missing
    if truncated is not None:
        wanted["truncated"] = truncated
    if hold is not None:
        wanted["hold"] = hold
    newest, oldest = until or _LAST, since or _FIRST
    partition: str | None = None
    if participant is not None:
        partition = f"participant:{digests.participant(participant)}"
    elif recording_id is not None:
        partition = f"recording:{wanted.pop('recording')}"
    elif reference is not None:
        partition = f"reference:{wanted.pop('reference')}"
    elif call_id is not None:
        partition = call(str(wanted.pop("callId")))
    elif conversation_id is not None:
        partition = f"conversation:{wanted.pop('conversation')}"
    elif wanted.get("hold") is True:
        partition, _ = HOLD, wanted.pop("hold")
    elif wanted.get("missing") is True:
        partition, _ = MISSING, wanted.pop("missing")
    elif wanted.get("truncated") is True:
        partition, _ = TRUNCATED, wanted.pop("truncated")
    return Search(
        partition or month(newest),
        partition or month(oldest),
        # A recording that started at `until` is not among them, one that started at `since` is; ":" sorts behind "9".
        inverted(newest) + (":" if until else ""),
        inverted(oldest) + "~",
        tuple(sorted(wanted.items())),
    )


def write_cursor(digests: Digests, found: Bound, token: object) -> str:
    """Write where a search or a list goes on; `token` is what the service said."""
    payload = json.dumps(token, separators=(",", ":"))
    signed = json.dumps([payload, digests.sign(f"{found.bind()}\0{payload}")])
    return base64.urlsafe_b64encode(signed.encode()).rstrip(b"=").decode()


def read_cursor(digests: Digests, found: Bound, cursor: str) -> object:
    """Read where a search or a list goes on.

    Raises ValueError for a text that this app has not written for it.
    """
    try:
        signed = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        payload, signature = signed
        is_mine = hmac.compare_digest(digests.sign(f"{found.bind()}\0{payload}"), str(signature))
    except (ValueError, TypeError):
        is_mine = False
    if not is_mine:
        raise ValueError("must be the cursor of an earlier answer to the same filters")
    return json.loads(payload)


def key_text(key: bytes) -> bytes:
    """Write the archive's key for digests as a fact."""
    return json.dumps({"hmacKey": base64.b64encode(key).decode()}).encode()


def parse_key(text: bytes) -> bytes:
    """Read the archive's key for digests; raises ValueError if it is none."""
    try:
        key = base64.b64decode(json.loads(text)["hmacKey"], validate=True)
    except (LookupError, TypeError, ValueError):
        key = b""
    if len(key) < hashlib.sha256().digest_size:
        raise ValueError("the archive's key for digests cannot be read")
    return key
