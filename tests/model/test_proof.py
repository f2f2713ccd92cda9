"""recording/model/proof.py: the metadata of a chunk's blob."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.model.proof import ChunkFacts

TEXT = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1)
NUMBERS = st.integers(0)
FACTS = st.builds(
    ChunkFacts,
    kind=st.none() | st.sampled_from(["mp4", "mp3", "wav"]),
    problem=st.none() | TEXT,
    source_etag=st.none() | TEXT,
    source_bytes=st.none() | NUMBERS,
    blocks=st.none() | NUMBERS,
    block_bytes=st.none() | NUMBERS,
    flight=st.none() | TEXT,
    sha256=st.none() | TEXT,
    proved_at=st.none()
    | st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)).map(lambda t: t.replace(microsecond=0)),
    blocks_compared=st.none() | NUMBERS,
)


@given(FACTS)
def test_facts_survive_their_blob(facts: ChunkFacts) -> None:
    """As text, and without a value that a header could not carry."""
    metadata = facts.to_metadata()

    assert facts == ChunkFacts.from_metadata(metadata)
    assert all(metadata.values())


@given(st.dictionaries(st.sampled_from(sorted(ChunkFacts.model_fields)), st.text()))
def test_a_value_that_cannot_be_read_is_missing(metadata: dict[str, str]) -> None:
    """Whoever wrote the blob, nothing is raised, and what can be read stays."""
    facts = ChunkFacts.from_metadata({**metadata, "blocks": "3", "block_bytes": "many", "kind": "../x", "other": "x"})

    assert (3, None, None) == (facts.blocks, facts.block_bytes, facts.kind)


@pytest.mark.parametrize(
    ("metadata", "is_written_by_ingest"),
    [
        ({"source_bytes": "5", "flight": "f"}, True),
        ({"source_bytes": "6", "flight": "f"}, False),
        ({"source_bytes": "5"}, False),
        ({"source_bytes": "five", "flight": "f"}, False),
        ({"flight": "f"}, False),
        ({}, False),
    ],
)
def test_a_blob_of_ingest_is_told_by_its_length_and_its_digest(
    metadata: dict[str, str], is_written_by_ingest: bool
) -> None:
    """Of five bytes: any other blob under a chunk's name is replaced."""
    assert is_written_by_ingest == ChunkFacts.from_metadata(metadata).is_written_by_ingest(5)
