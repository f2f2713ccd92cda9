"""A recording in flight and its chunks, derived from the facts in staging."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from recording.formats import media
from recording.formats.media import Kind
from recording.model import layout
from recording.model.attempts import FIRST_RESCUE, Attempts, unfinished
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from recording.model.job import ChunkJob, Recheck
from recording.model.layout import StagedName
from recording.model.proof import ChunkFacts
from recording.model.recheck import RecheckTimes
from recording.model.stored import StoredBlob
from recording.model.verdict import ChunkVerdict

_NEVER = datetime.min.replace(tzinfo=UTC)
# Of a chunk's duration: docs/media.md#verdicts.
_TOLERANCE, _TOLERANCE_SECONDS = 0.02, 2.0


@dataclass(frozen=True)
class InFlightChunk:
    """One announced chunk, and what staging has of it.

    `announced` combines what its events say of it, `described` what they say of its media. `unfinished` has the start
    of each attempt that is not known to have failed or succeeded. `content` is the best version of its bytes, `others`
    are the rest. `verdicts` are by SHA-256, `rechecks` has when each step was queued, or that it is settled.
    `is_archived` says that the archive has all of an earlier version.
    """

    recording_key: str
    announced: AnnouncedChunk
    announced_at: datetime
    deadline: datetime
    content: StoredBlob | None
    metadata: StoredBlob | None
    attempts: Attempts | None
    unfinished: tuple[datetime, ...]
    described: dict[str, str]
    others: tuple[StoredBlob, ...] = ()
    verdicts: Mapping[str, ChunkVerdict] = field(default_factory=dict)
    rechecks: Mapping[str, datetime] = field(default_factory=dict)
    is_archived: bool = False

    @property
    def document_id(self) -> str:
        """Return the id of the chunk's document."""
        return self.announced.document_id

    @property
    def job(self) -> ChunkJob:
        """Return the job that ingests it."""
        return ChunkJob.of(self.recording_key, self.announced, self.announced_at)

    @property
    def is_staged(self) -> bool:
        """Return whether staging has its proved content and its metadata file, or the archive has them."""
        is_proved = self.content is not None and self.content.sha256 is not None
        return self.is_archived or (is_proved and self.metadata is not None)

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

    @property
    def verdict(self) -> ChunkVerdict | None:
        """Return the verdict on its content; None if that isn't proved."""
        is_proved = self.content is not None and self.content.sha256 is not None
        return verdict_on(self.content, self.verdicts) if self.content and is_proved else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return what is unusual about its content, also compared with its metadata file."""
        return (*(self.verdict.remarks if self.verdict else ()), *self._too_short())

    def _too_short(self) -> tuple[str, ...]:
        """Compare the duration: a cut between two frames or fragments is visible nowhere else.

        Whether the metadata file's duration includes pauses is unknown (docs/acs-contract.md#2021-metadata-file).
        """
        said = self.metadata.metadata if self.metadata else {}
        expected, paused = (float(said.get(name, 0)) / 1000 for name in ("duration_ms", "paused_ms"))
        tolerance = max(_TOLERANCE_SECONDS, _TOLERANCE * expected)
        seconds = self.facts.seconds
        if seconds is None or seconds >= expected - paused - tolerance:
            return ()
        return (f"it lasts {seconds:.1f} s, its metadata file says {expected:.1f} s",)

    def _may_get_better(self, now: datetime) -> bool:
        is_complete = self.verdict is None or self.verdict.outcome == "complete"
        return not is_complete and not self.is_archived and now < self.deadline

    def is_settled(self, now: datetime, times: RecheckTimes) -> bool:
        """Return whether nothing better is waited for: its bytes are complete, not there at all, or re-checked."""
        if not self._may_get_better(now):
            return True
        last = self.rechecks.get("last")
        return last is not None and last + times.last_wait <= now

    def next_recheck(self, now: datetime, times: RecheckTimes, *, is_last: bool) -> tuple[str, Recheck] | None:
        """Return the step of its re-check that is to be queued, and what it does; None if there is nothing to do.

        `is_last` says that its recording waits for nothing else.
        """
        if not self._may_get_better(now):
            return None
        # Of several versions the first was judged first.
        found = [verdict_on(one, self.verdicts).found_at for one in (self.content, *self.others) if one and one.sha256]
        found_at = min(filter(None, found), default=_NEVER)
        end = times.end(found_at, self.deadline)
        is_over = "settled" in self.rechecks or now >= end - times.last_wait
        if is_last and is_over:
            return None if "last" in self.rechecks else ("last", "probe")
        due = sum(found_at + pause <= min(now, end) for pause in times.steps)
        queued = max((int(step) for step in self.rechecks if step.isdecimal()), default=0)
        if due <= queued or "settled" in self.rechecks:
            return None
        return str(due), "read" if times.steps[due - 1] >= times.read_after else "probe"

    def requeue_at(self, first: timedelta = FIRST_RESCUE) -> datetime:
        """Return when the timer requeues it, unless it is staged by then."""
        if self.attempts is None:
            return self.announced_at + first
        # Close to the deadline the pauses stop growing: the last one would end after it.
        last = self.attempts.last
        began = max(self.announced_at, last.at if last else _NEVER, self.attempts.queued_at or _NEVER)
        return min(self.attempts.next_at, max(self.deadline - 4 * first, began + first))


@dataclass(frozen=True)
class InFlightRecording:
    """A recording in flight: its file events, oldest first, and every chunk that they announce."""

    key: str
    events: tuple[FileStatusUpdated, ...]
    chunks: tuple[InFlightChunk, ...]
    blobs: tuple[StoredBlob, ...]

    @property
    def is_staged(self) -> bool:
        """Return whether every announced chunk is staged."""
        return bool(self.chunks) and all(chunk.is_staged for chunk in self.chunks)

    def is_past_deadline(self, now: datetime) -> bool:
        """Return whether nothing more can be fetched: each chunk is staged, or past its deadline."""
        return all(chunk.is_staged or chunk.deadline <= now for chunk in self.chunks)


def assemble(
    key: str,
    *,
    events: Iterable[FileStatusUpdated],
    blobs: Iterable[StoredBlob],
    attempts: dict[str, Attempts],
    retention: timedelta,
) -> InFlightRecording:
    """Derive a recording from its facts; `attempts` by document id.

    Several events may announce one chunk: the earliest sets its deadline, since the service counts from then; its
    location is taken from the newest event that has one.
    """
    named = {blob.name: blob for blob in blobs}
    begun: dict[str, list[str]] = defaultdict(list)
    about: dict[str, list[tuple[StagedName, StoredBlob]]] = defaultdict(list)
    for blob in named.values():
        staged = layout.parse(blob.name)
        if staged is not None and staged.attempt is not None:
            begun[staged.id].append(staged.attempt)
        elif staged is not None and staged.kind in ("content", "verdict", "recheck"):
            about[staged.id].append((staged, blob))
    ordered = tuple(sorted(events, key=lambda event: (event.time, event.id)))
    said: dict[str, list[tuple[FileStatusUpdated, AnnouncedChunk]]] = defaultdict(list)
    for event in ordered:
        for announced in event.chunks:
            said[announced.document_id].append((event, announced))
    chunks = [
        _chunk(key, announcements, named, about[document_id], attempts.get(document_id), begun[document_id], retention)
        for document_id, announcements in said.items()
    ]
    in_order = tuple(sorted(chunks, key=lambda c: (c.announced.index, c.document_id)))
    return InFlightRecording(key, ordered, in_order, tuple(named.values()))


def _chunk(
    key: str,
    said: list[tuple[FileStatusUpdated, AnnouncedChunk]],
    named: dict[str, StoredBlob],
    about: list[tuple[StagedName, StoredBlob]],
    attempts: Attempts | None,
    begun: list[str],
    retention: timedelta,
) -> InFlightChunk:
    event, first = said[0]
    announced = AnnouncedChunk(
        document_id=first.document_id,
        index=first.index,
        end_reason=newest(one.end_reason for _, one in said),
        content_location=newest(one.content_location for _, one in said),
        metadata_location=newest(one.metadata_location for _, one in said),
        delete_location=newest(one.delete_location for _, one in said),
    )
    described = {
        "content_type": newest(event.content_type for event, _ in said),
        "channel_type": newest(event.channel_type for event, _ in said),
        "format": newest(event.format_type for event, _ in said),
    }
    metadata = named.get(layout.metadata_blob(key, first.index, first.document_id))
    verdicts = {name.part or "": ChunkVerdict.from_metadata(b.metadata) for name, b in about if name.kind == "verdict"}
    # The first version, whose name has no more, comes first.
    versions = sorted(
        ((name.part or "", blob) for name, blob in about if name.kind == "content" and name.index == first.index),
        key=lambda version: version[0],
    )
    content = best_version([blob for _, blob in versions], verdicts)
    # The last write of a successful attempt names the attempt.
    succeeded = metadata.metadata.get("attempt") if metadata else None
    return InFlightChunk(
        recording_key=key,
        announced=announced,
        announced_at=event.time,
        deadline=event.time + retention,
        content=content,
        metadata=metadata,
        attempts=attempts,
        unfinished=tuple(map(layout.recording_start, unfinished(begun, attempts, succeeded=succeeded))),
        described={name: value for name, value in described.items() if value},
        others=tuple(blob for _, blob in versions if blob is not content),
        verdicts=verdicts,
        rechecks={name.part or "": _when(blob) for name, blob in about if name.kind == "recheck"},
    )


def verdict_on(content: StoredBlob, verdicts: Mapping[str, ChunkVerdict]) -> ChunkVerdict:
    """Return the verdict on proved bytes: by its fact, as an older version noted it, or complete."""
    facts = ChunkFacts.from_metadata(content.metadata)
    if (known := verdicts.get(content.sha256 or "")) is not None:
        return known
    if facts.problem is not None:
        return ChunkVerdict(outcome="truncated", remarks=(facts.problem,), found_at=facts.proved_at)
    return ChunkVerdict()


def best_version(versions: Sequence[StoredBlob], verdicts: Mapping[str, ChunkVerdict]) -> StoredBlob | None:
    """Return the best of a chunk's versions, the first of which came first: proved, then by verdict, then by length."""
    proved = [blob for blob in versions if blob.sha256]
    if not proved:
        return next(iter(versions), None)
    return max(proved, key=lambda blob: (verdict_on(blob, verdicts).rank, blob.size))


def _when(fact: StoredBlob) -> datetime:
    """Return when a step was queued; one that can't be read was queued long ago."""
    try:
        return datetime.fromisoformat(fact.metadata["at"])
    except (KeyError, ValueError):
        return _NEVER


def newest[Value](values: Iterable[Value | None]) -> Value | None:
    """Return the last value that isn't None."""
    return next((value for value in reversed(list(values)) if value is not None), None)
