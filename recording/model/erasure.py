"""Pure: what an erasure does with each kind of thing that is stored about a recording, and its records.

Every function of `layout.py` that names a blob, and everything else that is kept about a recording, has one of three
answers: it is removed, it is kept because of something, or it expires. A test fails for a kind without an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from recording.model.record import Record

# What a person may give as the reason. The first six are grounds of article 17 (1) of the GDPR, and its (3) leaves the
# decision to people.
AskedReason = Literal[
    "not-needed",
    "consent-withdrawn",
    "objection",
    "unlawful",
    "legal-obligation",
    "child",
    "recorded-by-mistake",
]
# The last one is the app's own, when a retention class has ended.
ReasonCode = Literal[AskedReason, "retention-ended"]


@dataclass(frozen=True)
class Removed:
    """It is removed, with all its versions and snapshots; `how` it is found."""

    how: str


@dataclass(frozen=True)
class Kept:
    """It stays, without personal data of those who were recorded."""

    because: str


@dataclass(frozen=True)
class Expires:
    """It can't be found or removed one by one, and ends by itself."""

    when: str


type Answer = Removed | Kept | Expires

_STAGED = Removed("by the prefix of its recording in staging")
_ARCHIVED = Removed("by the prefix of its recording in staging and in the archive")

# By the name of the function in layout.py, without `_blob`.
OF_BLOBS: Mapping[str, Answer] = {
    "event": _ARCHIVED,
    "chunk": _ARCHIVED,
    "metadata": _ARCHIVED,
    "manifest": _ARCHIVED,
    "verdict": _STAGED,
    "recheck": _STAGED,
    "attempts": _STAGED,
    "began": _STAGED,
    "fan_out": _STAGED,
    "hand_over": _STAGED,
    "proof": _STAGED,
    "notice": _STAGED,
    "published": _STAGED,
    "pending": Removed("by the digest of the recording id"),
    "started": Removed("by the digest of the recording id"),
    "ending": Removed("by the digest of the recording id"),
    "assigned_ending": Removed("by the recording key"),
    "call": Removed("by the server call id, unless the index shows another recording of the call"),
    "export": Removed("by the recording key: the event of files that lie in the team's own storage, not these files"),
    "hold": Removed("by the recording key: none is in force, and the trail says who held it"),
    "lift": Removed("as the hold that it lifts"),
    "retention": Removed("by the recording key"),
    "pending_keeping": Removed("by the recording key"),
    "hold_search": Kept("it says which case held what a search found, and names no recording"),
    "asked_hold": Expires("when the recordings that its search finds are held"),
    "hold_progress": Expires("when the recordings that its search finds are held"),
    **dict.fromkeys(
        ("person_export", "person_export_page", "person_export_progress", "person_export_part", "person_export_file"),
        Removed("with every export that has something of the recording"),
    ),
    "consent": Kept(
        "it proves what a participant of the conversation has granted or withdrawn, and other recordings may rest on "
        "it; it names the participant, so an operator decides about it"
    ),
    "pause": Removed("by the digest of the recording id"),
    "pending_live": Removed("by the digest of the recording id"),
    "claim": Kept("a start must not happen twice; it has the ids of conversation and recording, and names nobody"),
    "outcome": Kept("as the claim that it belongs to"),
    "trail": Kept(
        "who had access must remain provable: each fact is written again with the digest of the recording key in place "
        "of all that names the recording, and the first one is removed; `left` has what could not be"
    ),
    "quarantine": Removed("by the ids in its text; what comes later expires with its container"),
    "replayed": Kept("it is empty, and named by the digest of an event's text"),
    "tombstone": Kept("it keeps the recording from coming back; it has digests only"),
    "erasure": Kept("it is the record of the erasure; it has digests only"),
    "pending_erasure": Removed("as the last step of the erasure"),
    "queued_erasure": Removed("as the last step of the erasure"),
}

# What is stored about a recording elsewhere.
ELSEWHERE: Mapping[str, Answer] = {
    "source at ACS": Removed("by the addresses in its events, while ACS has it and where its API can"),
    "uncommitted blocks": Removed("with the name of their chunk; those of a chunk that is in flight expire in a week"),
    "versions and snapshots": Removed("by their ids, where the app's role allows it; else the certificate lists them"),
    "soft-deleted blobs": Expires("after the account's soft delete, unless they could be deleted permanently"),
    "joined files": Removed("by the recording key"),
    "exports of people": Removed("each that has something of the recording, as a whole"),
    "rows of the search index": Removed("by what the manifests say"),
    "rows of the trail": Removed("with the facts that they show"),
    "key of the digests": Kept("it is one for the whole archive, and random"),
    "doctor's test blobs": Expires("in seconds: they belong to no recording"),
    "queue messages": Expires("as soon as they are received: a job for an erased recording does nothing"),
    "messages of poison queues": Expires("with the next run of the timer"),
    "dead letters": Removed(
        "by the ids in their text, and events of others beside them stay; what Event Grid writes later expires with "
        "its container"
    ),
    "telemetry and access logs": Expires("with the workspace's retention: they have ids, nothing that was said"),
    "notices to other systems": Kept("they were published: whoever received them must erase what they stored"),
}


class ErasureAsked(Record):
    """That an erasure was asked for: `by` an object id, or none for the app itself, to happen at a time."""

    erasure: str
    number: int
    at: datetime
    happens_at: datetime
    by: str | None = None
    reason: ReasonCode


class PendingErasure(Record):
    """What staging has of an erasure until it is done: which recording, and the reason in words."""

    recording_key: str
    asked: ErasureAsked
    text: str | None = None


class ErasureDecided(Record):
    """The outcome of an erasure that was asked for: begun, called off, or refused, and why, in words without names."""

    decision: Literal["begun", "called-off", "refused"]
    at: datetime
    by: str | None = None
    reasons: tuple[str, ...] = ()


class ErasureChecked(Record):
    """Whether an erasure that has begun goes on, written once; holds are not looked at again after it.

    It stops if something forbids it that was placed as it began: then nothing was removed. An earlier version wrote
    only that it stopped, without a decision.
    """

    decision: Literal["go", "stop"] = "stop"
    at: datetime
    reasons: tuple[str, ...] = ()


class Source(Record):
    """A document that ACS may still have, until a time; without a location its API can't delete it."""

    document_id: str
    location: str | None = None
    until: datetime


class ErasureScope(Record):
    """What was found of a recording before anything was removed: with this a job that was killed goes on.

    `rows` are partitions and row keys of the search index, `exports` facts of files in the team's own storage,
    `derived` folders of what was made of it, `quarantined` and `dead_letters` blobs with events that name it, `found`
    counts blobs by kind.
    """

    recording_key: str
    recording_ids: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    server_call_ids: tuple[str, ...] = ()
    call_id: str
    rows: tuple[tuple[str, str], ...] = ()
    sources: tuple[Source, ...] = ()
    exports: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    dead_letters: tuple[str, ...] = ()
    found: dict[str, int] = Field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """Return what an event of this recording has in its text."""
        return (*self.document_ids, *self.recording_ids)

    def with_places(self, late: "ErasureScope") -> "ErasureScope":
        """Return it with the places and rows that a later look has found, too."""
        more = {
            name: tuple(sorted({*getattr(self, name), *getattr(late, name)}))
            for name in ("rows", "exports", "derived", "quarantined", "dead_letters")
        }
        return self.model_copy(update=more)


class Left(Record):
    """What the platform still keeps, by digest of the blob's name: why, and until when, as far as it says so.

    `why` is `soft-deleted`, or the code with which the platform refused.
    """

    place: Literal["staging", "archive", "quarantine", "dead-letter", "derived", "ACS"]
    kind: str
    digest: str
    count: int = 1
    why: str
    until: datetime | None = None


class Certificate(Record):
    """What an erasure has removed, and what is left of the recording; it has digests and numbers only.

    `found` counts what there was when it began, by kind; a chunk is one, however many versions of its blob there were.
    All of it is removed but for what `left` lists. `checked_at` is when all places were listed again, with versions and
    deleted blobs. `kept` and `expires` say how long everything else is kept.
    """

    erasure: str
    revision: int = 1
    reason: ReasonCode
    asked_at: datetime
    asked_by: str | None = None
    begun_at: datetime
    checked_at: datetime
    found: dict[str, int] = Field(default_factory=dict)
    removed: dict[str, int] = Field(default_factory=dict)
    digests: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    kept: dict[str, str] = Field(default_factory=dict)
    expires: dict[str, str] = Field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Return whether nothing of the recording is left in any place that was listed."""
        return not self.left


def answers() -> tuple[dict[str, str], dict[str, str]]:
    """Return what is kept, and what expires, for a certificate: {kind: reason}."""
    every = {name.replace("_", " "): answer for name, answer in (*OF_BLOBS.items(), *ELSEWHERE.items())}
    kept = {name: answer.because for name, answer in every.items() if isinstance(answer, Kept)}
    expires = {name: answer.when for name, answer in every.items() if isinstance(answer, Expires)}
    return kept, expires


ErasureState = Literal["asked", "calledOff", "refused", "erasing", "erased"]


class ErasureSummary(Record):
    """An erasure in a list; `left` counts what the platform still keeps of it."""

    erasure_id: str
    state: ErasureState
    reason: ReasonCode
    asked_at: datetime
    asked_by: str | None = None
    happens_at: datetime
    erased_at: datetime | None = None
    left: int | None = None

    @classmethod
    def of(
        cls,
        asked: ErasureAsked,
        certificate: Certificate | None,
        decided: ErasureDecided | None = None,
        checked: ErasureChecked | None = None,
    ) -> "ErasureSummary":
        """Return what a list shows, from the facts of an erasure."""
        state: ErasureState = "asked"
        if certificate:
            state = "erased"
        elif (checked and checked.decision == "stop") or (decided and decided.decision == "refused"):
            state = "refused"
        elif decided:
            state = "erasing" if decided.decision == "begun" else "calledOff"
        return cls(
            erasure_id=asked.erasure,
            state=state,
            reason=asked.reason,
            asked_at=asked.at,
            asked_by=asked.by,
            happens_at=asked.happens_at,
            erased_at=certificate.checked_at if certificate else None,
            left=len(certificate.left) if certificate else None,
        )
