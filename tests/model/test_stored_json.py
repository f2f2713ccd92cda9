"""Stored JSON: what an older app wrote into storage and onto its queues is understood, and written the same."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from recording.intake import backlog
from recording.joining.fact import JoinedFile, Making, NotJoined
from recording.model.attempts import Attempts
from recording.model.consent import Consent
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from recording.model.export import ExportAsked
from recording.model.job import ArchiveJob, ChunkJob, ExportJob, JoinJob
from recording.model.keeping import HoldLifted, HoldPlaced, RetentionSet
from recording.model.layout import chunk_blob
from recording.model.manifest import Manifest, write_manifest
from recording.model.proof import ChunkFacts, CopyProof
from recording.model.quarantined import QuarantinedEvent
from recording.model.recording import assemble
from recording.model.started import Started
from recording.model.stored import StoredBlob
from recording.model.trail import TrailEntry
from recording.storage.consents import PendingPause
from recording.storage.endings import Ending
from recording.storage.starts import StartClaim, StartOutcome

STORED = Path(__file__).parents[1] / "data/stored"
NOW = datetime(2026, 11, 3, 9, 12, 44, tzinfo=UTC)
KEY = "20261103T091000000000Z-b7e0a1b2"


def one_line(record: type[BaseModel]) -> Callable[[str], str]:
    """Read a fact and write it as stores do."""
    return lambda text: record.model_validate_json(text).model_dump_json(by_alias=True, exclude_unset=True)


def indented(record: type[BaseModel]) -> Callable[[str], str]:
    """Read a fact for human readers, and write it as it is written for them."""
    return lambda text: record.model_validate_json(text).model_dump_json(by_alias=True, exclude_unset=True, indent=2)


def attempts_record(text: str) -> str:
    """Read and write an attempts record; one that can't be read would count as none."""
    read = Attempts.parse(text.encode())
    assert read is not None
    return read.model_dump_json(by_alias=True, exclude_unset=True)


AGAIN: dict[str, Callable[[str], str]] = {
    "archive-job.json": lambda text: ArchiveJob.from_message(text).to_message(),
    "attempts.json": attempts_record,
    "attempts-named.json": attempts_record,
    "audit.json": one_line(TrailEntry),
    "trail.json": one_line(TrailEntry),
    "trail-command.json": one_line(TrailEntry),
    "chunk-job.json": lambda text: ChunkJob.from_message(text).to_message(),
    "chunk-metadata.json": lambda text: json.dumps(ChunkFacts.from_metadata(json.loads(text)).to_metadata()),
    "claim.json": one_line(StartClaim),
    "consent.json": one_line(Consent),
    "export-asked.json": one_line(ExportAsked),
    "export-job.json": lambda text: ExportJob.from_message(text).to_message(),
    "pending-pause.json": one_line(PendingPause),
    "copy-proof.json": one_line(CopyProof),
    "hold-lifted.json": one_line(HoldLifted),
    "hold-placed.json": one_line(HoldPlaced),
    "retention.json": one_line(RetentionSet),
    "retention-forever.json": one_line(RetentionSet),
    "ending.json": one_line(Ending),
    "events-message.json": lambda text: backlog.format_message(backlog.parse_message(text)),
    "join-job.json": lambda text: JoinJob.from_message(text).to_message(),
    "joined-file.json": one_line(JoinedFile),
    "joined-making.json": one_line(Making),
    "joined-refused.json": one_line(NotJoined),
    "manifest-absent.json": indented(Manifest),
    "manifest.json": indented(Manifest),
    "manifest-timeline.json": indented(Manifest),
    "manifest-unfinished.json": indented(Manifest),
    "outcome-started.json": one_line(StartOutcome),
    "outcome.json": one_line(StartOutcome),
    "quarantined.json": indented(QuarantinedEvent),
    "started.json": one_line(Started),
    "started-before.json": one_line(Started),
}


@pytest.mark.parametrize("file", sorted(file.name for file in STORED.iterdir()))
def test_what_is_stored_is_understood_and_written_the_same(file: str) -> None:
    """Byte for byte, but for members that came later: each text was written by an older app."""
    stored = (STORED / file).read_text()

    assert stored == AGAIN[file](stored)


def test_the_metadata_of_a_proved_chunk_is_understood() -> None:
    """All that the manifest says of it comes from there; a problem that an older app noted counts as truncated."""
    metadata = json.loads((STORED / "chunk-metadata.json").read_text())
    blob = StoredBlob(chunk_blob(KEY, 0, "a-0"), int(metadata["source_bytes"]), '"e"', metadata)
    event = FileStatusUpdated("e", NOW, "a", None, None, NOW, None, None, (AnnouncedChunk("a-0", 0, None),))
    recording = assemble(KEY, events=[event], blobs=[blob], attempts={}, retention=timedelta(hours=24))

    [entry] = write_manifest(recording, archived_at=NOW).chunks

    assert ("archived", "truncated", ("the last box is cut off",)) == (entry.outcome, entry.verdict, entry.remarks)
    assert (False, "mp4") == (entry.is_whole, entry.format)
    assert ("0x8DCFA1B2C3D4E5F", NOW, 4, 4) == (entry.source_etag, entry.proved_at, entry.blocks, entry.blocks_compared)
    assert entry.content is not None
    assert (12_582_929, "ab" * 32) == (entry.content.bytes, entry.content.sha256)
