"""Pure: what stays of an erased recording, so that nothing brings it back. It has no personal data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from recording.model import layout
from recording.model.erasure import ReasonCode
from recording.model.events import FileStatusUpdated
from recording.model.record import Record

# What names more documents is known by its key and its recording id alone: some of its documents say nothing of the
# others. The job of each chunk looks for its own.
MOST_DOCUMENTS = 32


class Tombstone(Record):
    """That a recording was erased: `erasure` is the digest of its key, `by` the object id of who asked for it.

    The one that is found by the digest of the key lists the digests of all that it is found by.
    """

    erasure: str
    at: datetime
    by: str | None = None
    reason: ReasonCode
    recordings: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Write it as a fact."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()

    def without_digests(self) -> "Tombstone":
        """Return it as it is found by another digest than that of the key."""
        return self.model_copy(update={"recordings": (), "documents": ()})


@dataclass(frozen=True)
class Named:
    """What may name an erased recording, as digests: its key, its recording id, its documents by their ids."""

    key: str
    recording: str | None
    documents: Mapping[str, str]

    @classmethod
    def of(cls, key: str, recording_id: str | None, documents: Iterable[str]) -> "Named":
        """Return the digests of a recording; its id may come with or without padding."""
        return cls(
            layout.key_digest(key),
            layout.recording_digest(recording_id) if recording_id else None,
            {one: layout.document_digest(one) for one in documents},
        )

    @classmethod
    def by_event(cls, event: FileStatusUpdated) -> "Named":
        """Return those of an event; its key alone doesn't suffice, since an event without a time has a derived one."""
        documents = {chunk.document_id for chunk in (*event.chunks, *event.exported)}
        few = sorted(documents) if len(documents) <= MOST_DOCUMENTS else ()
        return cls.of(event.recording_key, event.recording_id, few)

    @property
    def digests(self) -> tuple[str, ...]:
        """Return all of them, each once."""
        found = (self.key, *([self.recording] if self.recording else []), *self.documents.values())
        return tuple(dict.fromkeys(found))

    def match(self, stones: Mapping[str, Tombstone]) -> "Match":
        """Decide what was erased: all of it by key or recording id, or if it has no other documents.

        An event that names an erased document among others may be wrong: the others must not be lost by it.
        """
        documents = frozenset(one for one, digest in self.documents.items() if digest in stones)
        whole = stones.get(self.key) or (stones.get(self.recording) if self.recording else None)
        if whole is None and documents and len(documents) == len(self.documents):
            whole = stones[self.documents[min(documents)]]
        return Match(whole, documents)


@dataclass(frozen=True)
class Match:
    """What tombstones say of a recording: the one of all of it, and which of its documents were erased."""

    whole: Tombstone | None = None
    documents: frozenset[str] = frozenset()
