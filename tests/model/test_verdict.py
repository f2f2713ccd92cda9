"""recording/model/verdict.py: the verdict on a chunk's bytes, as a fact."""

from datetime import UTC, datetime

import pytest

from recording.formats.verdict import Outcome, Verdict
from recording.model.verdict import ChunkVerdict

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_verdict_reads_as_it_was_written() -> None:
    """As metadata, which is one line of ASCII without double blanks; one that can't be read isn't complete."""
    verdict = ChunkVerdict(outcome="truncated", remarks=("box a  ©   at byte 1",), found_at=datetime.now(UTC))
    [text] = verdict.to_metadata().values()

    assert (True, True, False) == (text.isascii(), text.isprintable(), "  " in text)
    assert verdict == ChunkVerdict.from_metadata(verdict.to_metadata())
    assert "truncated" == ChunkVerdict.from_metadata({}).outcome == ChunkVerdict.from_metadata({"verdict": "x"}).outcome


@pytest.mark.parametrize(
    ("found", "remarks", "is_plain"),
    [
        (Verdict("complete", "wav"), (), True),
        (Verdict("complete", "wav", ("odd",)), ("odd",), False),
        (Verdict("truncated", "wav", ("cut", "odd")), ("cut", "odd"), False),
        (Verdict("not media"), ("the bytes are no media that is known",), False),
    ],
)
def test_only_a_complete_file_without_remarks_needs_no_fact(
    found: Verdict, remarks: tuple[str, ...], is_plain: bool
) -> None:
    """The others say what is odd or missing."""
    verdict = ChunkVerdict.of(found, NOW)

    assert (found.outcome, remarks, is_plain) == (verdict.outcome, verdict.remarks, verdict.is_plain)


def test_a_better_outcome_ranks_higher() -> None:
    """Complete, then truncated, then all that can't be played."""
    order: tuple[Outcome, ...] = ("not media", "truncated", "complete")
    assert [0, 1, 2] == [ChunkVerdict(outcome=one).rank for one in order]
