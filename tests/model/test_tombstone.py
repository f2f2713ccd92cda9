"""recording/model/tombstone.py: what names an erased recording."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recording.model import layout
from recording.model.events import AnnouncedChunk, FileStatusUpdated
from recording.model.tombstone import MOST_DOCUMENTS, Match, Named, Tombstone

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
KEY = "20260301T100000000000Z-b7e0"
OTHER = "20260301T100001000000Z-b7e0"
STONE = Tombstone(erasure=layout.key_digest(KEY), at=NOW, by="oid-1", reason="objection")


def event(*documents: str, recording_id: str | None = "cmlk") -> FileStatusUpdated:
    """An event that announces documents."""
    chunks = tuple(AnnouncedChunk(one, index, None) for index, one in enumerate(documents))
    return FileStatusUpdated("e", NOW, "b7e0", recording_id, None, NOW, None, None, chunks)


def found_by(*texts: str, documents: tuple[str, ...] = ("0-a", "0-b"), key: str = OTHER) -> Match:
    """What is found of a recording with the id `cmlk` if these digests have a tombstone."""
    return Named.of(key, "cmlk=", documents).match(dict.fromkeys(texts, STONE))


@pytest.mark.parametrize(
    "digest", [layout.key_digest(OTHER), layout.recording_digest("cmlk"), layout.recording_digest("cmlk==")]
)
def test_a_recording_is_found_by_its_key_or_its_id(digest: str) -> None:
    """The id may have padding or not."""
    assert found_by(digest).whole == STONE


def test_one_whose_documents_were_all_erased_is_the_erased_one() -> None:
    """Under whatever key it comes: an event without a time has a derived one."""
    both = [layout.document_digest(one) for one in ("0-a", "0-b")]

    assert found_by(*both) == Match(STONE, frozenset({"0-a", "0-b"}))
    assert found_by(both[0]) == Match(None, frozenset({"0-a"}))
    assert found_by(documents=()) == Match()


def test_an_event_with_many_documents_is_not_erased_by_some_of_them() -> None:
    """It is looked up by its key and its recording id; each chunk is looked up with its job."""
    texts = [f"0-{number:04}" for number in range(MOST_DOCUMENTS + 1)]
    stones = dict.fromkeys(map(layout.document_digest, texts[:MOST_DOCUMENTS]), STONE)

    assert Named.by_event(event(*texts)).match(stones) == Match()
    assert len(Named.by_event(event(*texts)).digests) == 2
    assert Named.by_event(event(*texts[:MOST_DOCUMENTS])).match(stones).whole == STONE


def test_files_in_the_teams_own_storage_count_too() -> None:
    """They are announced and not fetched."""
    own = replace(event(), exported=(AnnouncedChunk("0-x", 0, None),))

    assert layout.document_digest("0-x") in Named.by_event(own).digests


def test_a_tombstone_has_no_personal_data() -> None:
    """Digests, when, by which object id, and the code of the reason."""
    stone = STONE.model_copy(update={"documents": (layout.document_digest("0-a"),), "recordings": ("d",)})

    text = stone.to_bytes().decode()

    assert "b7e0" not in text
    assert "0-a" not in text
    assert set(stone.model_dump(exclude_none=True)) == {"erasure", "at", "by", "reason", "recordings", "documents"}
    assert b'documents":[]' in stone.without_digests().to_bytes()
