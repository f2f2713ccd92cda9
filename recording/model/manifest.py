"""The manifest of a recording, which is written into the archive as `recording.json`.

It is written last: if it exists, the recording is archived.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from recording.formats.media import UNKNOWN, Kind, kind_of
from recording.formats.verdict import Outcome
from recording.model import layout
from recording.model.attempts import Failure
from recording.model.consent import Consent
from recording.model.events import AnnouncedChunk, FileStatusUpdated, recording_end
from recording.model.metadata_file import MetadataFile, ParticipantKind, Pause, participant_kind
from recording.model.proof import ChunkFacts, CopyProof
from recording.model.record import Record
from recording.model.recording import InFlightChunk, InFlightRecording, first_said, verdict_on
from recording.model.started import Started
from recording.model.stored import StoredBlob
from recording.model.timeline import Piece, Span, draw
from recording.model.verdict import ChunkVerdict


class ManifestFile(Record):
    """A blob: its name in the archive container (in staging while in flight), bytes, SHA-256 and CRC64 in hex.

    The SHA-256 of a chunk's content is known when its archive copy was read, and null before; of content that is
    `unproved` it stays null. The CRC64 is that of CRC-64/NVME.
    """

    blob: str
    bytes: int
    sha256: str | None
    crc64: str | None = None


class ManifestVersion(ManifestFile):
    """Another version of a chunk's bytes, which ACS delivered before or after the one that counts."""

    verdict: Outcome | None = None
    remarks: tuple[str, ...] = ()
    source_etag: str | None = None


class ManifestChunk(Record):
    """The outcome of one announced chunk.

    waiting, staged: in flight, not proved yet or proved; never in an archived manifest.
    archived: storage computed the CRC64 of each block that it received, and `blocksCompared` of `blocks` were compared
    with that of the bytes in transit, at `provedAt`. All bytes of the archive copy were read at `copyProvedAt`, and
    their digest of the kind `copyCompared` equals that of the bytes in transit. Older versions read what they had
    received back before they made the copy, and not the copy: then there is no `copyProvedAt`.
    unproved: committed completely, but storage holds other bytes than it had received. Older versions also wrote it for
    what could not be read back in time, and for a file whose structure is incomplete. `reason` says which.
    lost: not in our storage when ACS deleted it; `reason` says why. `evidence` is the attempt that failed to bring
    it or its metadata file: it began after `expires_at`, its receipt plus the time for which ACS keeps it.
    `announced_at` and `deadline` are the earliest that its events make plausible.
    `verdict` is what the structure of its bytes says, `remarks` what is unusual about them or missing: they are kept
    whatever it is. `versions` are other bytes that ACS delivered for it, which are kept too.
    `format` is what its bytes are; `note` describes a label that differs.
    `index` is what was announced first, `other_indices` are those at which the document was announced as well.
    `locations` are digests of its addresses; the event has the addresses themselves.
    `start_time`, `duration_ms` and `pauses` are what its metadata file says, `media_ms` is the length of its media by
    their structure. `channels` has the channel of each participant, where sound isn't mixed.
    `attempts` is how many didn't succeed. `failures` has the time and the reason of the newest hundred that failed;
    `unfinished` the start of each of the others: its process was killed, or it was still running.
    """

    document_id: str
    index: int
    other_indices: tuple[int, ...] = ()
    end_reason: str | None
    outcome: Literal["waiting", "staged", "archived", "unproved", "lost"]
    reason: str | None = None
    attempts: int = 0
    failures: tuple[Failure, ...] = ()
    unfinished: tuple[datetime, ...] = ()
    announced_at: datetime
    deadline: datetime
    expires_at: datetime | None = None
    evidence: Failure | None = None
    content_type: str | None = None
    channel_type: str | None = None
    format: Kind | None = None
    note: str | None = None
    verdict: Outcome | None = None
    remarks: tuple[str, ...] = ()
    content: ManifestFile | None = None
    versions: tuple[ManifestVersion, ...] = ()
    metadata: ManifestFile | None = None
    source_etag: str | None = None
    proved_at: datetime | None = None
    blocks: int | None = None
    blocks_compared: int | None = None
    copy_proved_at: datetime | None = None
    copy_compared: Literal["crc64", "sha256"] | None = None
    locations: tuple[str, ...] = ()
    start_time: datetime | None = None
    duration_ms: float | None = None
    media_ms: float | None = None
    pauses: tuple[Pause, ...] = ()
    channels: dict[str, int] = Field(default_factory=dict)

    def has_location(self, location: str) -> bool:
        """Return whether an address is one of its settled ones; manifests of older versions don't say."""
        return not self.locations or location_digest(location) in self.locations

    def file_name(self, recording_key: str) -> str:
        """Return the name under which its content is saved; in staging the name of the blob doesn't have the format."""
        extension = (self.content and kind_of(self.content.blob)) or self.format or UNKNOWN
        return f"{recording_key}-{self.index:05}.{extension}"

    @property
    def is_safe(self) -> bool:
        """Return whether the archive has all that was delivered: content, proof and metadata file."""
        return self.outcome == "archived" and self.metadata is not None

    @property
    def is_proved(self) -> bool:
        """Return whether what storage has of it was compared with what the source sent."""
        return self.outcome in ("staged", "archived")

    @property
    def has_proof(self) -> bool:
        """Return whether the SHA-256 of its content is known, which is read from the archive copy."""
        return self.content is not None and self.content.sha256 is not None

    @property
    def is_whole(self) -> bool:
        """Return whether its bytes are complete media; an older version archived nothing else."""
        return self.outcome == "archived" and self.verdict in (None, "complete")

    @property
    def is_truncated(self) -> bool:
        """Return whether it has bytes that are not complete media, as far as their structure shows."""
        return self.content is not None and self.verdict not in (None, "complete", "undecided")

    @property
    def files(self) -> tuple[ManifestFile, ...]:
        """Return every version of its bytes, the one that counts first."""
        return (*([self.content] if self.content else ()), *self.versions)

    def suffices_for(self, found: StoredBlob | ManifestFile) -> bool:
        """Return whether bytes are not copied beside what it lists: it has them, or they are not proved and it is."""
        proved = [file for file in self.files if file.sha256]
        if found.sha256:
            return any(file.sha256 == found.sha256 for file in proved)
        return any(found.crc64 in (None, file.crc64) for file in proved)


class Participant(Record):
    """Somebody who was in the call, as metadata files name them: a raw id, and the index of each chunk that does."""

    id: str
    kind: ParticipantKind
    chunks: tuple[int, ...]


class Claim(Record):
    """A value in an event that contradicts the settled one: it changes nothing. The event is under `events/`.

    An address is given by its digest.
    """

    event: str
    document_id: str | None = None
    member: str
    value: str | int


class Absence(Record):
    """What is known of a recording that was stopped through this app and never announced."""

    evidence: str
    stopped_at: datetime
    stopped_by: str | None
    conversation_id: str | None


class Manifest(Record):
    """`recording.json`; `complete` says that every announced chunk and its metadata file are there.

    The `verdict` of a chunk says whether it is complete media.
    `notes` lists what was missing or wrong in its events and was derived from the rest of them.
    `consents` are the facts of its conversation when it was archived, `uncovered` the participants in its metadata
    files who had granted none by them: none are, as long as nobody was asked and consent isn't required.
    `conversation_id` and `reference` are those of its start, if it was started through this app: `reference` is the
    start's `operationContext`.
    """

    version: Literal[1] = 1
    revision: int = 1
    recording_key: str
    call_id: str
    recording_id: str | None
    server_call_id: str | None
    correlation_id: str | None = None
    conversation_id: str | None = None
    reference: str | None = None
    recording_start_time: datetime
    recording_duration_ms: int | None
    session_end_reason: str | None
    complete: bool
    state: Literal["ingesting", "staged", "archived", "incomplete", "absent"]
    archived_at: datetime | None
    absent: Absence | None = None
    events: list[str]
    notes: tuple[str, ...] = ()
    participants: tuple[Participant, ...] = ()
    consents: tuple[Consent, ...] = ()
    uncovered: tuple[str, ...] = ()
    chunks: list[ManifestChunk]
    claims: tuple[Claim, ...] = ()
    timeline: tuple[Span, ...] = ()

    @property
    def ids(self) -> dict[str, str]:
        """Return the ids beside its key that are known, by which a calling app finds its recording."""
        return known_ids(self.recording_id, self.server_call_id, self.reference)

    def listed_at(self, index: int) -> list[ManifestChunk]:
        """Return the chunks at an index: one that was announced at two is at both, behind the one that is only here."""
        listed = [entry for entry in self.chunks if index in (entry.index, *entry.other_indices)]
        return sorted(listed, key=lambda entry: entry.index != index)

    def with_start(self, started: Started) -> "Manifest":
        """Return it with the conversation and the reference of its start, which an older version did not write."""
        ids = {"conversation_id": started.conversation_id, "reference": started.reference}
        return self.model_copy(update=ids)

    def without_people(self) -> "Manifest":
        """Return it without those who took part, for whoever must not know them."""
        chunks = [chunk.model_copy(update={"channels": {}}) for chunk in self.chunks]
        return self.model_copy(update={"participants": (), "consents": (), "uncovered": (), "chunks": chunks})


def known_ids(recording_id: str | None, server_call_id: str | None, reference: str | None) -> dict[str, str]:
    """Return the ids that stand beside a recording key in a notice, without those that aren't known."""
    known = {"recordingId": recording_id, "serverCallId": server_call_id, "reference": reference}
    return {name: value for name, value in known.items() if value}


def write_manifest(
    recording: InFlightRecording,
    *,
    archived_at: datetime | None,
    before: Manifest | None = None,
    correlation_id: str | None = None,
    started: Started | None = None,
    copies: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the manifest of a recording: to be archived now, or of its present state if it is still in flight.

    `before` is the manifest that this one supersedes: its chunks are carried over, so that the newest manifest always
    lists everything. `copies` names, by their sources, the archive copies that don't have their usual name.
    """
    entries = {known.document_id: known for known in before.chunks} if before else {}
    for chunk in new_chunks(recording, before):
        new = write_entry(chunk, "archive" if archived_at else "staging", copies)
        known = entries.get(new.document_id)
        entries[new.document_id] = merge_entries(known, new) if known else new
    chunks = sorted(entries.values(), key=lambda e: (e.index, e.document_id))
    complete = all(e.is_safe for e in chunks)
    first = recording.events[0]
    final: Literal["archived", "incomplete"] = "archived" if complete else "incomplete"
    written = Manifest(
        revision=before.revision + 1 if before else 1,
        recording_key=recording.key,
        call_id=before.call_id if before else first.call_id,
        recording_id=first_said([before and before.recording_id, recording.recording_id]),
        server_call_id=first_said([before and before.server_call_id, *(e.server_call_id for e in recording.events)]),
        correlation_id=correlation_id or (before and before.correlation_id),
        conversation_id=first_said([before and before.conversation_id, started and started.conversation_id]),
        reference=first_said([before and before.reference, started and started.reference]),
        recording_start_time=before.recording_start_time if before else first.start,
        recording_duration_ms=first_said([before and before.recording_duration_ms, recording.duration_ms]),
        session_end_reason=first_said(
            [before and before.session_end_reason, *(e.session_end_reason for e in recording.events)]
        ),
        complete=complete,
        state=final if archived_at else ("staged" if recording.is_staged else "ingesting"),
        archived_at=archived_at,
        events=sorted({*(event.id for event in recording.events), *(before.events if before else ())}),
        notes=tuple(
            sorted({*(note for event in recording.events for note in event.derived), *(before.notes if before else ())})
        ),
        participants=_participants(before.participants if before else (), recording.chunks),
        consents=before.consents if before else (),
        uncovered=before.uncovered if before else (),
        chunks=chunks,
    )
    return with_timeline(_with_claims(written, recording.events, before.claims if before else ()))


def with_timeline(manifest: Manifest) -> Manifest:
    """Return a manifest with the timeline of its chunks."""
    pieces = [
        Piece(
            index=entry.index,
            kind="lost" if entry.outcome == "lost" else "recorded" if entry.is_proved else "notProved",
            start=entry.start_time,
            duration_ms=entry.duration_ms,
            media_ms=entry.media_ms,
            pauses=entry.pauses,
        )
        for entry in manifest.chunks
    ]
    begin = manifest.recording_start_time
    spans = draw(pieces, begin=begin, end=recording_end(begin, manifest.recording_duration_ms))
    return manifest.model_copy(update={"timeline": spans})


def with_metadata_files(manifest: Manifest, read: Mapping[str, MetadataFile]) -> Manifest:
    """Return a manifest with what metadata files say, by document id: an older version did not write that into it."""
    chunks = [entry.model_copy(update=_said(read.get(entry.document_id))) for entry in manifest.chunks]
    said = [(entry.index, file) for entry in manifest.chunks if (file := read.get(entry.document_id))]
    people = _merge(manifest.participants, said)
    return with_timeline(manifest.model_copy(update={"chunks": chunks, "participants": people}))


def _said(said: MetadataFile | None) -> dict[str, Any]:
    if said is None:
        return {}
    channels = {one.id: one.channel for one in said.speakers if one.channel is not None}
    return {
        "start_time": said.start,
        "duration_ms": said.duration_ms,
        "pauses": said.pauses,
        "channels": channels,
    }


def _participants(known: tuple[Participant, ...], chunks: Iterable[InFlightChunk]) -> tuple[Participant, ...]:
    return _merge(known, [(chunk.announced.index, chunk.said) for chunk in chunks if chunk.said])


def _merge(known: Iterable[Participant], said: Iterable[tuple[int, MetadataFile]]) -> tuple[Participant, ...]:
    """Merge participants: each once, in the order in which they are named, with every chunk that names them."""
    found = {one.id: set(one.chunks) for one in known}
    for index, file in said:
        for speaker in file.speakers:
            found.setdefault(speaker.id, set()).add(index)
    return tuple(
        Participant(id=one, kind=participant_kind(one), chunks=tuple(sorted(chunks))) for one, chunks in found.items()
    )


def says_more(recording: InFlightRecording, before: Manifest) -> bool:
    """Return whether staging has more than the previous manifest: of a chunk, or an event that says more.

    The same event under another id says nothing more.
    """
    now = write_manifest(recording, archived_at=before.archived_at, before=before)
    return now != before.model_copy(update={"revision": now.revision, "events": now.events})


def _with_claims(written: Manifest, events: Iterable[FileStatusUpdated], known: tuple[Claim, ...]) -> Manifest:
    """Add the claims of the events, each once; an index is added to its chunk."""
    entries = {entry.document_id: entry for entry in written.chunks}
    found = {(claim.document_id, claim.member, claim.value): claim for claim in known}
    for event in events:
        for document_id, member, value in _contradictions(written, event):
            found.setdefault(
                (document_id, member, value),
                Claim(event=event.id, document_id=document_id, member=member, value=value),
            )
        for chunk in event.chunks:
            entry = entries[chunk.document_id]
            if chunk.index not in (entry.index, *entry.other_indices):
                others = tuple(sorted((*entry.other_indices, chunk.index)))
                entries[chunk.document_id] = entry.model_copy(update={"other_indices": others})
    return written.model_copy(update={"chunks": list(entries.values()), "claims": tuple(found.values())})


def _contradictions(written: Manifest, event: FileStatusUpdated) -> Iterable[tuple[str | None, str, str | int]]:
    """List the values of an event that contradict a manifest, by document and member."""
    # An id may come with or without padding (docs/acs-contract.md#2021-recording-id, #server-call-id).
    if event.recording_id and layout.recording_digest(event.recording_id) != layout.recording_digest(
        written.recording_id or ""
    ):
        yield None, "recordingId", event.recording_id
    if event.server_call_id and layout.call_blob(event.server_call_id) != layout.call_blob(
        written.server_call_id or ""
    ):
        yield None, "serverCallId", event.server_call_id
    if event.duration_ms not in (None, written.recording_duration_ms):
        yield None, "recordingDurationMs", event.duration_ms or 0
    if event.session_end_reason not in (None, written.session_end_reason):
        yield None, "sessionEndReason", event.session_end_reason or ""
    entries = {entry.document_id: entry for entry in written.chunks}
    for chunk in event.chunks:
        entry = entries[chunk.document_id]
        if chunk.end_reason not in (None, entry.end_reason):
            yield chunk.document_id, "endReason", chunk.end_reason or ""
        for location in _locations(chunk):
            if not entry.has_location(location):
                yield chunk.document_id, "location", location_digest(location)


def _locations(chunk: AnnouncedChunk) -> list[str]:
    return [one for one in (chunk.content_location, chunk.metadata_location, chunk.delete_location) if one]


def location_digest(location: str) -> str:
    """Return the digest of an address, which may hold a key."""
    return hashlib.sha256(location.encode()).hexdigest()[:16]


def new_chunks(recording: InFlightRecording, before: Manifest | None) -> list[InFlightChunk]:
    """Return the chunks of which staging has more than the previous manifest lists."""
    known = {e.document_id: e for e in before.chunks} if before else {}
    return [c for c in recording.chunks if has_more(c, known.get(c.document_id))]


def without_archived(recording: InFlightRecording, before: Manifest) -> InFlightRecording:
    """Return the recording without the chunks that the previous manifest lists as archived, unless staging has more.

    And without those that it lists as lost, unless a new event announces them: one that was archived and comes again
    doesn't.
    """
    announced = {c.document_id for event in recording.events if event.id not in before.events for c in event.chunks}
    known = {e.document_id for e in before.chunks}
    kept = {e.document_id for e in before.chunks if e.content is not None} | (known - announced)
    kept -= {c.document_id for c in new_chunks(recording, before)}
    left = (c for c in recording.chunks if c.document_id not in kept)
    safe = {e.document_id for e in before.chunks if e.is_safe}
    chunks = (replace(c, is_listed=c.document_id in known - announced, is_archived=c.document_id in safe) for c in left)
    return replace(
        recording,
        chunks=tuple(chunks),
        recording_id=first_said([before.recording_id, recording.recording_id]),
        duration_ms=first_said([before.recording_duration_ms, recording.duration_ms]),
    )


def has_more(chunk: InFlightChunk, entry: ManifestChunk | None) -> bool:
    """Return whether staging has a chunk's content, its proof or its metadata file, and the entry hasn't."""
    if entry is None:
        return True
    known = {layout.staged_content(file.blob) for file in entry.files}
    first = layout.chunk_blob(chunk.recording_key, chunk.announced.index, chunk.document_id)
    versions = [blob for blob in (chunk.content, *chunk.others) if blob and not entry.suffices_for(blob)]
    return (
        (chunk.content is not None and entry.content is None)
        or (chunk.is_proved and entry.content is not None and entry.content.sha256 is None)
        or (chunk.metadata is not None and entry.metadata is None)
        or any(blob.name not in {*known, first} for blob in versions)
    )


def merge_entries(known: ManifestChunk, new: ManifestChunk) -> ManifestChunk:
    """Merge what two runs know of one chunk: nothing that is in the archive is dropped from the manifest."""
    entry = new if _supersedes(new, known) else known
    brought = [one for one in (*new.versions, *_as_version(new)) if not known.suffices_for(one)]
    metadata = known.metadata or new.metadata
    failures = tuple(sorted({*known.failures, *new.failures}, key=lambda failure: failure.at))
    unfinished = tuple(sorted({*known.unfinished, *new.unfinished}))
    return entry.model_copy(
        update={
            "metadata": metadata,
            "versions": _unlisted((*known.versions, *_as_version(known), *brought), entry.content),
            "reason": None if entry.outcome == "archived" and metadata else entry.reason,
            "attempts": max(known.attempts, new.attempts, len(failures) + len(unfinished)),
            "failures": failures,
            "unfinished": unfinished,
            "announced_at": known.announced_at,
            "deadline": known.deadline,
            "expires_at": known.expires_at,
            "evidence": None if entry.content and metadata else new.evidence or known.evidence,
            "content_type": new.content_type or known.content_type,
            "channel_type": new.channel_type or known.channel_type,
            "format": entry.format or new.format,
            "note": new.note or known.note,
            "index": known.index,
            "other_indices": known.other_indices,
            "end_reason": known.end_reason or new.end_reason,
            "locations": known.locations or new.locations,
            "start_time": known.start_time or new.start_time,
            "duration_ms": known.duration_ms or new.duration_ms,
            "media_ms": entry.media_ms or known.media_ms,
            "pauses": known.pauses or new.pauses,
            "channels": known.channels or new.channels,
        }
    )


def write_entry(
    chunk: InFlightChunk, where: Literal["staging", "archive"], copies: Mapping[str, str] | None = None
) -> ManifestChunk:
    """Return the entry of a chunk that is in staging, or is to be archived; `copies` are those of `write_manifest`."""
    content, facts = chunk.content, chunk.facts
    proved, proof = chunk.is_proved, chunk.proof
    verdict = chunk.verdict
    record = chunk.attempts
    outcome: Literal["waiting", "staged", "archived", "unproved", "lost"]
    if where == "staging":
        outcome = "staged" if proved else "waiting"
    else:
        outcome = "lost" if content is None else "archived" if proved else "unproved"
    reason = None if chunk.is_staged else chunk.reason
    if where == "archive" and chunk.is_damaged:
        reason = "storage holds other bytes than it had received, and ACS had none any more when that was found"
    elif where == "archive" and not chunk.is_staged:
        what = "content" if content is None else "proof" if not proved else "metadata file"
        reason = f"no {what} by the deadline; last attempt: {reason or 'none was made'}"
    described = chunk.description
    return ManifestChunk(
        document_id=chunk.document_id,
        index=chunk.announced.index,
        end_reason=chunk.announced.end_reason,
        outcome=outcome,
        reason=reason,
        attempts=chunk.tries,
        failures=record.failures if record else (),
        unfinished=chunk.unfinished,
        announced_at=chunk.announced_at,
        deadline=chunk.deadline,
        expires_at=chunk.expires_at,
        evidence=chunk.evidence if where == "archive" and not chunk.is_staged else None,
        content_type=described.get("content_type"),
        channel_type=described.get("channel_type"),
        format=chunk.kind,
        note=chunk.label_mismatch,
        verdict=verdict.outcome if verdict else None,
        remarks=chunk.remarks,
        content=_file(content, chunk.kind, where, copies, proof) if content else None,
        versions=tuple(_version(blob, chunk, where, copies) for blob in chunk.others),
        metadata=_file(chunk.metadata, None, where, copies) if chunk.metadata else None,
        source_etag=facts.source_etag or None,
        proved_at=facts.proved_at,
        blocks=facts.blocks,
        blocks_compared=facts.blocks_compared,
        copy_proved_at=proof.proved_at if proof else None,
        copy_compared=None if proof is None else "crc64" if content and content.crc64 else "sha256",
        locations=tuple(map(location_digest, _locations(chunk.announced))),
        media_ms=chunk.seconds and round(chunk.seconds * 1000),
        **_said(chunk.said),
    )


def _supersedes(new: ManifestChunk, known: ManifestChunk) -> bool:
    """Return whether what a run has of a chunk counts, instead of what the archive has."""
    if new.content is None or known.content is None:
        return new.content is not None
    if layout.staged_content(new.content.blob) == layout.staged_content(known.content.blob):
        # What is in the archive is never written again.
        return known.content.sha256 is None and new.outcome == "archived"
    return new.outcome == "archived" and _worth(new) > _worth(known)


def _worth(entry: ManifestChunk) -> tuple[bool, int, int]:
    verdict = ChunkVerdict(outcome="complete" if entry.is_whole else entry.verdict or "truncated")
    return entry.outcome == "archived", verdict.rank, entry.content.bytes if entry.content else 0


def _as_version(entry: ManifestChunk) -> tuple[ManifestVersion, ...]:
    """Return the bytes of an entry that another entry's bytes supersede."""
    if entry.content is None:
        return ()
    verdict = entry.verdict or ("truncated" if entry.content.sha256 and not entry.is_whole else None)
    return (
        ManifestVersion(**dict(entry.content), verdict=verdict, remarks=entry.remarks, source_etag=entry.source_etag),
    )


def _unlisted(versions: Iterable[ManifestVersion], content: ManifestFile | None) -> tuple[ManifestVersion, ...]:
    """Return each version once, without the one that counts."""
    listed = {layout.staged_content(content.blob)} if content else set()
    unlisted: dict[str, ManifestVersion] = {}
    for version in versions:
        name = layout.staged_content(version.blob)
        if name not in listed:
            unlisted.setdefault(name, version)
    return tuple(unlisted.values())


def _version(
    blob: StoredBlob, chunk: InFlightChunk, where: Literal["staging", "archive"], copies: Mapping[str, str] | None
) -> ManifestVersion:
    facts = ChunkFacts.from_metadata(blob.metadata)
    verdict = verdict_on(blob, chunk.verdicts) if blob.digest else None
    file = _file(blob, facts.kind, where, copies, chunk.proofs.get(blob.name))
    return ManifestVersion(
        **dict(file),
        verdict=verdict.outcome if verdict else None,
        remarks=verdict.remarks if verdict else (),
        source_etag=facts.source_etag or None,
    )


def _file(
    blob: StoredBlob,
    kind: Kind | None,
    where: Literal["staging", "archive"],
    copies: Mapping[str, str] | None,
    proof: CopyProof | None = None,
) -> ManifestFile:
    if proof and where == "archive":
        return ManifestFile(blob=proof.blob, bytes=proof.bytes, sha256=proof.sha256, crc64=proof.crc64)
    name = blob.name
    if where == "archive":
        name = (copies or {}).get(name) or layout.archived(name, kind)
    return ManifestFile(blob=name, bytes=blob.size, sha256=blob.sha256, crc64=blob.crc64)
