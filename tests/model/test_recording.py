"""recording/model/recording.py: pure: what staging holds of one chunk, and what a manifest lists of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from recording.model import manifest
from recording.model.events import AnnouncedChunk
from recording.model.layout import chunk_blob, metadata_blob
from recording.model.manifest import ManifestChunk
from recording.model.recording import InFlightChunk
from recording.model.stored import StoredBlob
from tests.support.manifests import KEY, PROOF, RETENTION, START


def chunk(
    content: dict[str, str] | None = None, metadata: dict[str, str] | None = None, **described: str
) -> InFlightChunk:
    """Make a chunk from the metadata of its two blobs, and from the media that its events name."""
    return InFlightChunk(
        recording_key=KEY,
        announced=AnnouncedChunk("a-0", 0, None),
        announced_at=START,
        deadline=START + RETENTION,
        expires_at=START + RETENTION,
        content=None if content is None else StoredBlob(chunk_blob(KEY, 0, "a-0"), 1000, "e", content),
        metadata=None if metadata is None else StoredBlob(metadata_blob(KEY, 0, "a-0"), 10, "e", metadata),
        attempts=None,
        unfinished=(),
        described=described,
    )


@pytest.mark.parametrize(
    ("found", "kind", "note"),
    [
        (chunk({"kind": "wav"}, {"format": "wav"}), "wav", None),
        (chunk({"kind": "wav"}, {"format": "mp3"}), "wav", "labelled mp3, content is wav"),
        (chunk({"kind": "wav"}, {}, format="mp3"), "wav", "labelled mp3, content is wav"),
        (chunk({"kind": "wav"}, {"format": "wav"}, format="mp3"), "wav", None),
        (chunk({"kind": "wav"}), "wav", None),
        (chunk({}, {"format": "mp3"}), "mp3", None),
        (chunk({"kind": "../x"}, {"format": "mp3"}), "mp3", None),
        (chunk({"kind": "../x"}, {"format": "../x"}), None, None),
        (chunk({}, {}), None, None),
        (chunk(None, {"format": "mp3"}, format="mp4"), "mp3", None),
        (chunk(format="mp4"), "mp4", None),
        (chunk(), None, None),
    ],
)
def test_bytes_count_more_than_labels(found: InFlightChunk, kind: str | None, note: str | None) -> None:
    """And a metadata file more than an event; what is no kind never becomes part of a name.

    See docs/acs-contract.md#app-duties.
    """
    written = manifest.write_entry(found, "archive")

    assert (kind, note) == (found.kind, found.label_mismatch) == (written.format, written.note)
    if written.content:
        assert written.content.blob.endswith(f"/chunks/00000-a-0.{kind or 'media'}")


def test_types_are_told_by_the_metadata_file_then_by_the_event() -> None:
    """What neither says is unknown."""
    told = manifest.write_entry(
        chunk({}, {"content_type": "audio"}, content_type="audioVideo", channel_type="mixed"), "staging"
    )
    bare = manifest.write_entry(chunk({}, {}), "staging")

    assert ("audio", "mixed") == (told.content_type, told.channel_type)
    assert (None, None, None) == (bare.content_type, bare.channel_type, bare.format)


def test_what_was_archived_keeps_its_format() -> None:
    """A metadata file that comes late adds what it says, and can't rename what is in the archive."""
    first = manifest.write_entry(chunk({**PROOF, "kind": "wav"}), "archive")
    late = manifest.write_entry(
        chunk(None, {"sha256": "1" * 64, "format": "mp3", "channel_type": "unmixed"}), "archive"
    )

    joined = manifest.merge_entries(first, late)

    assert joined.content == first.content
    assert ("wav", "unmixed", True) == (joined.format, joined.channel_type, joined.is_safe)


@pytest.mark.parametrize("content", [PROOF, {}])
def test_what_is_not_copied_into_the_archive_is_not_listed_there(content: dict[str, str]) -> None:
    """The same bytes at another index, or others that are not proved: only the metadata file comes from there."""
    first = manifest.write_entry(chunk({**PROOF, "kind": "wav"}), "archive")
    late = chunk(content, {"sha256": "1" * 64})
    assert late.content is not None
    other = replace(late, content=replace(late.content, name=chunk_blob(KEY, 4, "a-0")))

    joined = manifest.merge_entries(first, manifest.write_entry(other, "archive"))

    assert (first.content, (), True) == (joined.content, joined.versions, joined.is_safe)
    assert not manifest.has_more(other, joined)


@pytest.mark.parametrize(
    ("known", "is_safe"),
    [
        (chunk({**PROOF}, {"sha256": "1" * 64}), True),
        (chunk({**PROOF}), False),
        (chunk({}, {"sha256": "1" * 64}), False),
        (chunk(None, {"sha256": "1" * 64}), False),
    ],
)
def test_safe_means_all_of_it(known: InFlightChunk, is_safe: bool) -> None:
    """Content, proof and metadata file."""
    assert is_safe == manifest.write_entry(known, "archive").is_safe
    assert not manifest.write_entry(known, "staging").is_safe


def test_an_entry_of_an_older_manifest_can_be_read() -> None:
    """One that was written before there were formats."""
    text = manifest.write_entry(chunk({**PROOF}), "archive").model_dump_json(
        by_alias=True, exclude={"format", "note", "content_type", "channel_type"}
    )

    assert "a-0" == ManifestChunk.model_validate_json(text).document_id


def test_a_chunk_without_a_note_is_rescued_when_the_queue_had_its_turn() -> None:
    """A quarter of an hour after it was announced, unless the settings say otherwise."""
    assert START + timedelta(minutes=3) == chunk().requeue_at(timedelta(minutes=3))
