"""A recording in flight and its chunks, derived from the facts in staging."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from recording.formats import media
from recording.formats.media import Kind
from recording.model import layout
from recording.model.attempts import FIRST_RESCUE, QUEUE_TRIES, Attempts, Failure, unfinished
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from recording.model.job import ChunkJob
from recording.model.proof import ChunkFacts
from recording.model.stored import StoredBlob

_NEVER = datetime.min.replace(tzinfo=UTC)
# Of more addresses of one document nearly all are false, and each of them costs a try.
_MOST_ADDRESSES = 10


@dataclass(frozen=True)
class InFlightChunk:
    """One announced chunk, and what staging has of it.

    `announced` combines what its events say of it, `described` what they say of its media. `unfinished` has the start
    of each attempt that is not known to have failed or succeeded.

    When it was announced is a claim, bounded by when that was received. `announced_at` and `deadline` are the earliest
    that is plausible: urgency counts from there. `expires_at` is by the app's own clock: until then ACS may have it.

    `others` have the other addresses that events claim: until it is staged nobody knows which of them is right.
    `is_archived` says that the archive's manifest lists it, and no event has announced it again.
    """

    recording_key: str
    announced: AnnouncedChunk
    announced_at: datetime
    deadline: datetime
    expires_at: datetime
    content: StoredBlob | None
    metadata: StoredBlob | None
    attempts: Attempts | None
    unfinished: tuple[datetime, ...]
    described: dict[str, str]
    is_archived: bool = False
    others: tuple[AnnouncedChunk, ...] = ()

    @property
    def document_id(self) -> str:
        """Return the id of the chunk's document."""
        return self.announced.document_id

    @property
    def job(self) -> ChunkJob:
        """Return the job that ingests it."""
        return ChunkJob.of(self.recording_key, self.announced, self.announced_at)

    @property
    def jobs(self) -> tuple[ChunkJob, ...]:
        """Return the jobs of a further try: one for each address."""
        return tuple(ChunkJob.of(self.recording_key, one, self.announced_at) for one in (self.announced, *self.others))

    @property
    def is_staged(self) -> bool:
        """Return whether staging has its proved content and its metadata file."""
        return self.content is not None and self.content.sha256 is not None and self.metadata is not None

    @property
    def tries(self) -> int:
        """Return how many attempts began, without one that succeeded."""
        return (self.attempts.count if self.attempts else 0) + len(self.unfinished)

    @property
    def reason(self) -> str | None:
        """Describe the last failure, and how many attempts ended without a record; None if none has begun."""
        last, killed = self.attempts.last if self.attempts else None, len(self.unfinished)
        failed = f"{last.code}: {last.message}" if last else ""
        unfinished = f"{killed} attempt{'s' if killed > 1 else ''} began and did not end" if killed else ""
        return "; ".join(filter(None, (failed, unfinished))) or None

    @property
    def facts(self) -> ChunkFacts:
        """Return the facts in the metadata of its content."""
        return ChunkFacts.from_metadata(self.content.metadata if self.content else {})

    @property
    def description(self) -> dict[str, str]:
        """Return what its metadata file says of its media, or its events where that file says nothing.

        See docs/acs-contract.md#app-duties.
        """
        return self.described | ({} if self.metadata is None else dict(self.metadata.metadata))

    @property
    def kind(self) -> Kind | None:
        """Return what its bytes are, whatever the label says: a wrong label must not cost a recording.

        A file with the wrong extension can't be opened. Without bytes, the label is all there is.
        """
        return self.facts.kind or media.parse_kind(self.description.get("format"))

    @property
    def label_mismatch(self) -> str | None:
        """Describe how it is labelled and what it is, if these differ."""
        label = self.description.get("format")
        if self.content is None or self.kind is None or label in (None, self.kind):
            return None
        return f"labelled {label}, content is {self.kind}"

    def hours_left(self, now: datetime) -> float:
        """Return how many hours are left until its deadline; 0 after it."""
        return round(max(self.deadline - now, timedelta()) / timedelta(hours=1), 2)

    def requeue_at(self, first: timedelta = FIRST_RESCUE) -> datetime:
        """Return when the timer requeues it, unless it is staged by then."""
        if self.attempts is None:
            return self.announced_at + first
        last = self.attempts.last
        began = max(self.announced_at, last.at if last else _NEVER, self.attempts.queued_at or _NEVER)
        # Close to the deadline the pauses stop growing: the last one would end after it. So they do before it expires.
        end = self.deadline if began < self.deadline else self.expires_at
        return min(self.attempts.next_at, max(end - 4 * first, began + first))

    @property
    def evidence(self) -> Failure | None:
        """Return the attempt that shows that nothing more comes: it began when the chunk had expired, and failed.

        For whatever reason, and one for each address. Attempts that are killed show nothing, until they are as many as
        the queue tries.
        """
        failed = self.attempts.failures if self.attempts else ()
        killed = [Failure(at=began, code="Unfinished", message="it began and did not end") for began in self.unfinished]
        late = [[one for one in some if one.began >= self.expires_at] for some in (failed, killed)]
        return next(iter((*late[0][len(self.others) :], *late[1][QUEUE_TRIES - 1 :])), None)

    @property
    def is_given_up(self) -> bool:
        """Return whether it is not queued again: there is evidence, or the archive lists it already."""
        return self.is_archived or self.evidence is not None

    @property
    def is_lost(self) -> bool:
        """Return whether it is lost. Should an attempt bring it after all, another revision of the manifest has it."""
        return not self.is_staged and self.is_given_up


@dataclass(frozen=True)
class InFlightRecording:
    """A recording in flight: its file events, the one that was received first first, and every chunk of them.

    `recording_id` and `duration_ms` are what is settled; an event may claim others. `fanned_out_at` is when the chunks
    that were missing, and whose pause was over, were queued all together.
    """

    key: str
    events: tuple[FileStatusUpdated, ...]
    chunks: tuple[InFlightChunk, ...]
    blobs: tuple[StoredBlob, ...]
    recording_id: str | None = None
    duration_ms: int | None = None
    fanned_out_at: datetime | None = None

    def named(self, name: str) -> StoredBlob | None:
        """Return the blob of this name in staging, if there is one."""
        return self._named.get(name)

    @cached_property
    def _named(self) -> dict[str, StoredBlob]:
        return {blob.name: blob for blob in self.blobs}

    @property
    def is_staged(self) -> bool:
        """Return whether every announced chunk is staged."""
        return bool(self.chunks) and all(chunk.is_staged for chunk in self.chunks)

    @property
    def is_over(self) -> bool:
        """Return whether nothing more can be fetched: each chunk is staged, or lost."""
        return all(chunk.is_staged or chunk.is_lost for chunk in self.chunks)


def assemble(
    key: str,
    *,
    events: Iterable[FileStatusUpdated],
    blobs: Iterable[StoredBlob],
    attempts: dict[str, Attempts],
    retention: timedelta,
) -> InFlightRecording:
    """Derive a recording from its facts; `attempts` by document id.

    Several events may announce one chunk: the earliest time sets its deadline, the earliest receipt when it expires.
    What they say otherwise is settled by `first_said`.
    """
    named = {blob.name: blob for blob in blobs}
    begun: dict[str, list[str]] = defaultdict(list)
    fanned_out: list[str] = []
    for staged in filter(None, map(layout.parse, named)):
        if staged.kind == "fan_out":
            fanned_out.append(staged.id)
        elif staged.attempt is not None:
            begun[staged.id].append(staged.attempt)
    ordered = tuple(sorted(events, key=lambda event: (event.received, event.id)))
    said: dict[str, list[tuple[FileStatusUpdated, AnnouncedChunk]]] = defaultdict(list)
    for event in ordered:
        for announced in event.chunks:
            said[announced.document_id].append((event, announced))
    chunks = [
        _chunk(key, announcements, named, attempts.get(document_id), begun[document_id], retention)
        for document_id, announcements in said.items()
    ]
    in_order = tuple(sorted(chunks, key=lambda c: (c.announced.index, c.document_id)))
    return InFlightRecording(
        key,
        ordered,
        in_order,
        tuple(named.values()),
        recording_id=first_said(event.recording_id for event in ordered),
        duration_ms=first_said(event.duration_ms for event in ordered),
        fanned_out_at=layout.recording_start(max(fanned_out)) if fanned_out else None,
    )


def _chunk(
    key: str,
    said: list[tuple[FileStatusUpdated, AnnouncedChunk]],
    named: dict[str, StoredBlob],
    attempts: Attempts | None,
    begun: list[str],
    retention: timedelta,
) -> InFlightChunk:
    first = said[0][1]
    # An event may announce it at two indices; a version of it may be under each of these names.
    names = dict.fromkeys((one.index, first.document_id) for _, one in said)
    contents = [blob for name in names if (blob := named.get(layout.chunk_blob(key, *name)))]
    files = [blob for name in names if (blob := named.get(layout.metadata_blob(key, *name)))]
    announced_at = min(event.announced_at(retention) for event, _ in said)
    announced = AnnouncedChunk(
        document_id=first.document_id,
        index=first.index,
        end_reason=first_said(one.end_reason for _, one in said),
        content_location=first_said(one.content_location for _, one in said),
        metadata_location=first_said(one.metadata_location for _, one in said),
        delete_location=first_said(one.delete_location for _, one in said),
        source_id=first.source_id,
    )
    addresses = dict.fromkeys(
        replace(
            announced,
            content_location=one.content_location or announced.content_location,
            metadata_location=one.metadata_location or announced.metadata_location,
        )
        for one in (announced, *(one for _, one in said))
    )
    described = {
        "content_type": first_said(event.content_type for event, _ in said),
        "channel_type": first_said(event.channel_type for event, _ in said),
        "format": first_said(event.format_type for event, _ in said),
    }
    metadata = next(iter(files), None)
    # The last write of a successful attempt names the attempt.
    succeeded = metadata.metadata.get("attempt") if metadata else None
    return InFlightChunk(
        recording_key=key,
        announced=announced,
        announced_at=announced_at,
        deadline=announced_at + retention,
        expires_at=min(event.received for event, _ in said) + retention,
        content=max(contents, key=lambda blob: blob.sha256 is not None, default=None),
        metadata=metadata,
        attempts=attempts,
        unfinished=tuple(map(layout.recording_start, unfinished(begun, attempts, succeeded=succeeded))),
        described={name: value for name, value in described.items() if value},
        others=tuple(addresses)[1:_MOST_ADDRESSES],
    )


def first_said[Value](values: Iterable[Value | None]) -> Value | None:
    """Return the first value that isn't None: the rule by which events that contradict each other are settled.

    With the events in the order of their receipt, and the archived manifest before them: what is settled stays, and
    what comes later is a claim, which the manifest lists beside it.
    """
    return next((value for value in values if value is not None), None)
