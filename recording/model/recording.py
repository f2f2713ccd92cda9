"""A recording in flight and its chunks, derived from the facts in staging."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from recording.formats import media
from recording.formats.media import Kind
from recording.model import layout
from recording.model.attempts import FIRST_RESCUE, MOST_ADDRESSES, QUEUE_TRIES, Attempts, Failure, unfinished
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from recording.model.job import ChunkJob, Recheck
from recording.model.layout import StagedName
from recording.model.metadata_file import MetadataFile
from recording.model.proof import ChunkFacts, CopyProof
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
    are the rest. `proofs` are of their archive copies, `verdicts` of their bytes, by their names. `rechecks` has when
    each step was queued, or that it is settled.

    When it was announced is a claim, bounded by when that was received. `announced_at` and `deadline` are the earliest
    that is plausible: urgency counts from there. `expires_at` is by the app's own clock: until then ACS may have it.

    `addresses` are others that events claim: until it is staged, each of them may be right. `is_listed` says
    that the archive's manifest lists it, and no event has announced it again; `is_archived` that the archive has all of
    an earlier version. `read` is its metadata file, where that was read.
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
    is_listed: bool = False
    is_archived: bool = False
    addresses: tuple[AnnouncedChunk, ...] = ()
    others: tuple[StoredBlob, ...] = ()
    proofs: Mapping[str, CopyProof] = field(default_factory=dict)
    verdicts: Mapping[str, ChunkVerdict] = field(default_factory=dict)
    rechecks: Mapping[str, datetime] = field(default_factory=dict)
    read: MetadataFile | None = None

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
        """Return the jobs of a further try: one for each address; where there are several, all are tried at once."""
        if not self.addresses:
            return (self.job.again(),)
        return tuple(
            ChunkJob.of(self.recording_key, one, self.announced_at) for one in (self.announced, *self.addresses)
        )

    @property
    def is_staged(self) -> bool:
        """Return whether staging has its proved content and its metadata file, or the archive has them."""
        return self.is_archived or (self.is_proved and self.metadata is not None)

    @property
    def is_proved(self) -> bool:
        """Return whether staging has its content, compared with what the source sent."""
        return self.content is not None and self.content.digest is not None

    @property
    def is_damaged(self) -> bool:
        """Return whether staging has other bytes than it had received, and ACS had none any more."""
        return self.content is not None and not self.is_proved and self.facts.damaged is not None

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

    def needs_attention(self, now: datetime, margin: timedelta) -> bool:
        """Return whether it is not safe, and an attempt has failed or the deadline is closer than `margin`."""
        is_waiting = not self.is_staged and not self.is_lost
        return is_waiting and (self.attempts is not None or self.deadline <= now + margin)

    @property
    def facts(self) -> ChunkFacts:
        """Return the facts in the metadata of its content."""
        return ChunkFacts.from_metadata(self.content.metadata if self.content else {})

    @property
    def said(self) -> MetadataFile | None:
        """Return what its metadata file says of its time and of the participants; None if that was not noted."""
        return self.read or MetadataFile.from_note(self.metadata.metadata.get("said") if self.metadata else None)

    @property
    def proof(self) -> CopyProof | None:
        """Return the proof of its content's archive copy."""
        return self.proofs.get(self.content.name) if self.content else None

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
        return self.facts.kind or (self.proof and self.proof.kind) or media.parse_kind(self.description.get("format"))

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

    @property
    def verdict(self) -> ChunkVerdict | None:
        """Return the verdict on its content; None if that isn't proved."""
        return verdict_on(self.content, self.verdicts) if self.content and self.is_proved else None

    @property
    def seconds(self) -> float | None:
        """Return how long its media last by their structure, of which the early look may have seen a part only."""
        found = self.proof.seconds if self.proof else None
        return self.facts.seconds if found is None else found

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
        seconds = self.seconds
        if seconds is None or seconds >= expected - paused - tolerance:
            return ()
        return (f"it lasts {seconds:.1f} s, its metadata file says {expected:.1f} s",)

    def _may_get_better(self, now: datetime) -> bool:
        is_incomplete = self.verdict is not None and self.verdict.may_get_better
        # Until the expiry, not the deadline: that follows from the time that an event claims, which may be wrong.
        return is_incomplete and not self.is_archived and now < self.expires_at

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
        judged = [verdict_on(one, self.verdicts) for one in (self.content, *self.others) if one and one.digest]
        found_at = min((one.found_at for one in judged if one.may_get_better and one.found_at), default=_NEVER)
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
        """Return when the timer requeues it, unless it is staged before."""
        if self.attempts is None:
            return self.announced_at + first
        last = self.attempts.last
        began = max(self.announced_at, last.at if last else _NEVER, self.attempts.queued_at or _NEVER)
        # Close to the deadline the pauses stop growing: the last one would end after it. So it is before the expiry.
        end = self.deadline if began < self.deadline else self.expires_at
        return min(self.attempts.next_at, max(end - 4 * first, began + first))

    @property
    def evidence(self) -> Failure | None:
        """Return the attempt that shows that nothing more comes: it began when the chunk had expired, and failed.

        One for each address, whatever the reason of its failure. Killed attempts count only if there are as many as the
        queue makes.
        """
        failed = self.attempts.failures if self.attempts else ()
        killed = [Failure(at=began, code="Unfinished", message="it began and did not end") for began in self.unfinished]
        late = [[one for one in some if one.began >= self.expires_at] for some in (failed, killed)]
        return next(iter((*late[0][len(self.addresses) :], *late[1][QUEUE_TRIES - 1 :])), None)

    @property
    def is_given_up(self) -> bool:
        """Return whether it is not queued again: evidence, bytes that were damaged, or the archive lists it already."""
        return self.is_listed or self.is_damaged or self.evidence is not None

    @property
    def is_lost(self) -> bool:
        """Return whether it is lost. Should an attempt bring it after all, another revision of the manifest has it."""
        return not self.is_staged and self.is_given_up


@dataclass(frozen=True)
class InFlightRecording:
    """A recording in flight: its file events in the order of their receipt, and every chunk of them.

    `recording_id` and `duration_ms` are what is settled; an event may claim others. `fanned_out_at` is when the chunks
    that were missing, and whose pause was over, were queued all together. `handed_over` is when it was put on the queue
    that archives it, in order. `texts` are its events as received, by blob, as far as they were read.
    """

    key: str
    events: tuple[FileStatusUpdated, ...]
    chunks: tuple[InFlightChunk, ...]
    blobs: tuple[StoredBlob, ...]
    recording_id: str | None = None
    duration_ms: int | None = None
    fanned_out_at: datetime | None = None
    handed_over: tuple[datetime, ...] = ()
    texts: Mapping[str, bytes] = field(default_factory=dict)

    def named(self, name: str) -> StoredBlob | None:
        """Return the blob of this name in staging, if there is one."""
        return self._named.get(name)

    @property
    def fan_out_worked_at(self) -> datetime | None:
        """Return when a fan-out was last at work: it began, or an attempt began or succeeded since."""
        if self.fanned_out_at is None:
            return None
        written = (b.written_at for b in self.blobs if layout.staged_kind(b.name) in ("content", "metadata", "began"))
        return max([self.fanned_out_at, *filter(None, written)])

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
    Where they contradict each other, `first_said` decides.
    """
    named = {blob.name: blob for blob in blobs}
    begun: dict[str, list[str]] = defaultdict(list)
    timed: dict[str, list[datetime]] = defaultdict(list)
    about: dict[str, list[tuple[StagedName, StoredBlob]]] = defaultdict(list)
    for blob in named.values():
        staged = layout.parse(blob.name)
        if staged is None:
            continue
        if staged.kind in ("fan_out", "hand_over"):
            timed[staged.kind].append(layout.recording_start(staged.id))
        elif staged.attempt is not None:
            begun[staged.id].append(staged.attempt)
        elif staged.kind in ("content", "verdict", "recheck", "proof"):
            about[staged.id].append((staged, blob))
    ordered = tuple(sorted(events, key=lambda event: (event.received, event.id)))
    said: dict[str, list[tuple[FileStatusUpdated, AnnouncedChunk]]] = defaultdict(list)
    for event in ordered:
        for announced in event.chunks:
            said[announced.document_id].append((event, announced))
    chunks = [
        _chunk(key, announcements, named, about[document_id], attempts.get(document_id), begun[document_id], retention)
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
        fanned_out_at=max(timed["fan_out"], default=None),
        handed_over=tuple(sorted(timed["hand_over"])),
    )


def _chunk(
    key: str,
    said: list[tuple[FileStatusUpdated, AnnouncedChunk]],
    named: dict[str, StoredBlob],
    about: list[tuple[StagedName, StoredBlob]],
    attempts: Attempts | None,
    begun: list[str],
    retention: timedelta,
) -> InFlightChunk:
    first = said[0][1]
    # An event may announce it at two indices; a version of it may be under each of these names.
    names = dict.fromkeys((one.index, first.document_id) for _, one in said)
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
    # The first version, whose name has no tag, comes first.
    indices = {index for index, _ in names}
    versions = sorted(
        ((name.part or "", blob) for name, blob in about if name.kind == "content" and name.index in indices),
        key=lambda version: version[0],
    )
    contents = [blob for _, blob in versions]
    proofs = _proofs(contents, [blob for name, blob in about if name.kind == "proof"])
    noted = {name.part or "": ChunkVerdict.from_metadata(b.metadata) for name, b in about if name.kind == "verdict"}
    verdicts = {blob.name: _verdict(blob, proofs.get(blob.name), noted) for blob in contents}
    content = best_version(contents, verdicts)
    # The two last writes of a chunk name their attempts: the later one has succeeded.
    is_staged = content is not None and content.digest is not None and metadata is not None
    writers = [blob.metadata.get("attempt", "") for blob in (*contents, metadata) if blob and is_staged]
    return InFlightChunk(
        recording_key=key,
        announced=announced,
        announced_at=announced_at,
        deadline=announced_at + retention,
        expires_at=min(event.received for event, _ in said) + retention,
        content=content,
        metadata=metadata,
        attempts=attempts,
        unfinished=tuple(
            map(layout.recording_start, unfinished(begun, attempts, succeeded=max(writers, default=None)))
        ),
        described={name: value for name, value in described.items() if value},
        addresses=tuple(addresses)[1:MOST_ADDRESSES],
        # The same bytes under another index are no other version.
        others=tuple(b for b in contents if content and b is not content and b.digest not in (None, content.digest)),
        proofs=proofs,
        verdicts=verdicts,
        rechecks={name.part or "": _when(blob) for name, blob in about if name.kind == "recheck"},
    )


def _proofs(contents: Sequence[StoredBlob], facts: Sequence[StoredBlob]) -> dict[str, CopyProof]:
    """Return the newest proof of each content's archive copy, by the content's name."""
    read = sorted(
        filter(None, (CopyProof.from_metadata(fact.metadata) for fact in facts)), key=lambda proof: proof.proved_at
    )
    return {content.name: proof for content in contents for proof in read if proof.is_of(content)}


def verdict_on(content: StoredBlob, verdicts: Mapping[str, ChunkVerdict]) -> ChunkVerdict:
    """Return the verdict on proved bytes, which are complete if there is none."""
    return verdicts.get(content.name, ChunkVerdict())


def _verdict(content: StoredBlob, proof: CopyProof | None, noted: Mapping[str, ChunkVerdict]) -> ChunkVerdict:
    """Return the verdict of the last who judged the bytes: the proof of their copy, the commit, an older version."""
    facts = ChunkFacts.from_metadata(content.metadata)
    if facts.verdict is not None:
        first = ChunkVerdict.from_metadata({"verdict": facts.verdict})
    elif facts.problem is not None:
        first = ChunkVerdict(outcome="truncated", remarks=(facts.problem,), found_at=facts.proved_at)
    else:
        first = noted.get(content.sha256 or "", ChunkVerdict())
    if proof is None:
        return first
    # Its re-check began when it was first known to be incomplete.
    found_at = first.found_at if first.may_get_better and first.found_at else proof.verdict.found_at
    return proof.verdict.model_copy(update={"found_at": found_at})


def best_version(versions: Sequence[StoredBlob], verdicts: Mapping[str, ChunkVerdict]) -> StoredBlob | None:
    """Return the best of a chunk's versions, the first of which came first: proved, then by verdict, then by length."""
    proved = [blob for blob in versions if blob.digest]
    if not proved:
        return next(iter(versions), None)
    return max(proved, key=lambda blob: (verdict_on(blob, verdicts).rank, blob.size))


def _when(fact: StoredBlob) -> datetime:
    """Return when a step was queued; one that can't be read counts as queued long ago."""
    try:
        return datetime.fromisoformat(fact.metadata["at"])
    except (KeyError, ValueError):
        return _NEVER


def first_said[Value](values: Iterable[Value | None]) -> Value | None:
    """Return the first value that isn't None: the rule by which events that contradict each other are settled.

    With the events in the order of their receipt, and the archived manifest before them: what is settled stays, and
    what comes later is a claim, which the manifest lists beside it.
    """
    return next((value for value in values if value is not None), None)
