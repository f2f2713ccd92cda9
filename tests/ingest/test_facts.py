"""recording/ingest/facts.py: what a commit says of its chunk fits into the metadata of a blob."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from recording.ingest.blocks import MOST_RANGES, plan_ranges
from recording.ingest.facts import facts_of
from recording.ingest.transfer import Transfer
from recording.model.verdict import ChunkVerdict

NOW = datetime(2026, 3, 1, 10, 0, 0, 123456, UTC)
# docs/azure-storage.md#uploads: names and values together.
MOST_METADATA = 8 * 1024
MIB, TIB = 2**20, 2**40


def copied(size: int) -> Transfer:
    """A copy of a file of this size, of which each value is as long as it may get."""
    plan = plan_ranges(size, first=4 * MIB, largest=32 * MIB, streams=8)
    known: dict[str, Any] = {
        "probe": SimpleNamespace(kind="mp4", size=size, etag='"' + "e" * 400 + '"', version="e" * 400),
        "verdict": SimpleNamespace(kind="mp4", seconds=1234567.891),
        "plan": plan,
        "crc": 2**64 - 1,
        "crc_of": lambda *some: 2**64 - 1 - len(some),
        "blocks": len(plan),
        "blocks_compared": len(plan),
    }
    return cast(Transfer, SimpleNamespace(**known))


@pytest.mark.parametrize("size", [1, 5 * MIB, 16 * 2**30, 17 * 2**30, TIB])
def test_the_facts_of_the_largest_chunk_fit_into_the_metadata_of_a_blob(size: int) -> None:
    """With the longest ETag, and more remarks than are kept; a commit with more is refused by the service."""
    verdict = ChunkVerdict(outcome="not media", remarks=tuple("ü" * 100 for _ in range(50)), found_at=NOW)
    attempt = "20260301T100000123456Z-0123456789abcdef"

    facts = facts_of(copied(size), verdict, attempt=attempt, proved_at=NOW)
    written = facts.to_metadata()

    assert sum(len(name) + len(value) for name, value in written.items()) < MOST_METADATA
    assert len(facts.block_crcs or "") <= MOST_RANGES * 8 * 4 / 3 + 4
    assert (256, "2026-03-01T10:00:00+00:00") == (len(facts.source_etag or ""), written["proved_at"])
    assert all(value.isascii() and value.isprintable() for value in written.values())
