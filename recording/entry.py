"""One chunk: what staging holds of it, and what a manifest tells of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from recording import layout
from recording.attempts import FIRST_RESCUE, Attempts, Failure
from recording.formats import media
from recording.formats.media import Kind
from recording.job import ChunkJob
from recording.storage import Stored

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Chunk:
    """One announced chunk and what staging holds of it; `described` is what its events say of its media.

    `unfinished` is when each attempt began that is neither known to have failed nor to have succeeded.
    """

    job: ChunkJob
    end_reason: str | None
    deadline: datetime
    content: Stored | None
    metadata: Stored | None
    attempts: Attempts | None
    unfinished: tuple[datetime, ...]
    delete_location: str | None
    described: dict[str, str]

    @property
    def is_staged(self) -> bool:
        """Tell whether its proved content and its metadata file are both there."""
        return self.content is not None and self.content.sha256 is not None and self.metadata is not None

    @property
    def tries(self) -> int:
        """How many attempts began, but for one that succeeded."""
        return (self.attempts.count if self.attempts else 0) + len(self.unfinished)

    @property
    def reason(self) -> str | None:
        """What the last failure was, and how many attempts have ended without one; None if none has begun."""
        last, silent = self.attempts.last if self.attempts else None, len(self.unfinished)
        said = f"{last.code}: {last.message}" if last else ""
        killed = f"{silent} attempt{'s' if silent > 1 else ''} began and did not end" if silent else ""
        return "; ".join(filter(None, (said, killed))) or None

    @property
    def description(self) -> dict[str, str]:
        """What its metadata file says of its media, and where that says nothing its events (acs-contract 7)."""
        return self.described | ({} if self.metadata is None else dict(self.metadata.metadata))

    @property
    def kind(self) -> Kind | None:
        """What its bytes are, whatever they are called: a wrong label must not cost a recording.

        A file with the wrong extension is one that nobody can open; where there are no bytes, the label is all
        there is.
        """
        seen = media.kind(self.content.metadata.get("kind")) if self.content else None
        return seen or media.kind(self.description.get("format"))

    @property
    def note(self) -> str | None:
        """Say it where the label is wrong."""
        label = self.description.get("format")
        if self.content is None or self.kind is None or label in (None, self.kind):
            return None
        return f"it is called {label}, and its bytes are {self.kind}"

    def rescue_at(self, first: timedelta = FIRST_RESCUE) -> datetime:
        """Say when the timer puts it on the queue again, if it isn't staged by then."""
        if self.attempts is None:
            return self.job.announced_at + first
        # Close to the deadline the pauses grow no more: the last of them would outlast it.
        last = self.attempts.last
        began = max(self.job.announced_at, last.at if last else _NEVER, self.attempts.queued_at or _NEVER)
        return min(self.attempts.next_at, max(self.deadline - 4 * first, began + first))


class Written(BaseModel):
    """A part of a manifest."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class File(Written):
    """A blob: its name in the archive container (in staging while in flight), bytes and SHA-256."""

    blob: str
    bytes: int
    sha256: str | None


class ChunkEntry(Written):
    """What became of one announced chunk.

    waiting, staged: in flight, not proved yet or proved; never in an archived manifest.
    archived: its bytes were read back and compared; all `blocks`, which are as many as
    `blocksCompared`, with what passed by in flight (less in manifests of before receipts).
    unproved: committed whole, but the deadline passed before it could be read back; or kept although it isn't whole
    by its own word, for ACS had nothing better. `reason` says which.
    lost: not in our storage when ACS deleted it; `reason` says why.
    `format` is what its bytes are; `note` says it where it is called otherwise.
    `attempts` is how many didn't succeed. `failures` says when and why each failed, the newest hundred; `unfinished`
    when each of the others began: its process was killed, or it was still running when this was written.
    """

    document_id: str
    index: int
    end_reason: str | None
    outcome: Literal["waiting", "staged", "archived", "unproved", "lost"]
    reason: str | None = None
    attempts: int = 0
    failures: tuple[Failure, ...] = ()
    unfinished: tuple[datetime, ...] = ()
    announced_at: datetime
    deadline: datetime
    content_type: str | None = None
    channel_type: str | None = None
    format: Kind | None = None
    note: str | None = None
    content: File | None = None
    metadata: File | None = None
    source_etag: str | None = None
    proved_at: datetime | None = None
    blocks: int | None = None
    blocks_compared: int | None = None

    @property
    def is_safe(self) -> bool:
        """Tell whether the archive has all of it: content, proof and metadata file."""
        return self.outcome == "archived" and self.metadata is not None


def has_more(chunk: Chunk, entry: ChunkEntry | None) -> bool:
    """Tell whether staging has a chunk's content, its proof or its metadata file, and the entry hasn't."""
    if entry is None:
        return True
    proof = chunk.content and chunk.content.sha256
    return (
        (chunk.content is not None and entry.content is None)
        or (proof is not None and entry.content is not None and entry.content.sha256 is None)
        or (chunk.metadata is not None and entry.metadata is None)
    )


def joined(known: ChunkEntry, new: ChunkEntry) -> ChunkEntry:
    """Join what two archive runs have of one chunk: nothing that is in the archive goes out of the manifest."""
    entry = new if new.content is not None and (new.outcome == "archived" or known.content is None) else known
    metadata = known.metadata or new.metadata
    failures = tuple(sorted({*known.failures, *new.failures}, key=lambda failure: failure.at))
    unfinished = tuple(sorted({*known.unfinished, *new.unfinished}))
    return entry.model_copy(
        update={
            "metadata": metadata,
            "reason": None if entry.outcome == "archived" and metadata else entry.reason,
            "attempts": max(known.attempts, new.attempts, len(failures) + len(unfinished)),
            "failures": failures,
            "unfinished": unfinished,
            "announced_at": known.announced_at,
            "deadline": known.deadline,
            "content_type": new.content_type or known.content_type,
            "channel_type": new.channel_type or known.channel_type,
            "format": entry.format or new.format,
            "note": new.note or known.note,
        }
    )


def write(chunk: Chunk, where: Literal["staging", "archive"]) -> ChunkEntry:
    """Write the entry of a chunk that lies in staging, or will lie in the archive."""
    content, facts = chunk.content, dict(chunk.content.metadata) if chunk.content else {}
    proved = content is not None and content.sha256 is not None
    tried = chunk.attempts
    outcome: Literal["waiting", "staged", "archived", "unproved", "lost"]
    if where == "staging":
        outcome = "staged" if proved else "waiting"
    else:
        outcome = "lost" if content is None else "archived" if proved and "problem" not in facts else "unproved"
    reason = None if chunk.is_staged else chunk.reason
    if "problem" in facts:
        reason = f"kept as it is: {facts['problem']}"
    elif where == "archive" and not chunk.is_staged:
        what = "content" if content is None else "proof" if not proved else "metadata file"
        reason = f"no {what} by the deadline; the last attempt said: {reason or 'nothing, none was made'}"
    described = chunk.description
    return ChunkEntry(
        document_id=chunk.job.document_id,
        index=chunk.job.index,
        end_reason=chunk.end_reason,
        outcome=outcome,
        reason=reason,
        attempts=chunk.tries,
        failures=tried.failures if tried else (),
        unfinished=chunk.unfinished,
        announced_at=chunk.job.announced_at,
        deadline=chunk.deadline,
        content_type=described.get("content_type"),
        channel_type=described.get("channel_type"),
        format=chunk.kind,
        note=chunk.note,
        content=_file(content, chunk.kind, where),
        metadata=_file(chunk.metadata, None, where),
        source_etag=facts.get("source_etag") or None,
        proved_at=datetime.fromisoformat(facts["proved_at"]) if "proved_at" in facts else None,
        blocks=int(facts["blocks"]) if "blocks" in facts else None,
        blocks_compared=int(facts["blocks_compared"]) if "blocks_compared" in facts else None,
    )


def _file(blob: Stored | None, kind: Kind | None, where: Literal["staging", "archive"]) -> File | None:
    if blob is None:
        return None
    name = layout.archived(blob.name, kind) if where == "archive" else blob.name
    return File(blob=name, bytes=blob.size, sha256=blob.sha256)
