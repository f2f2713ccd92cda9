"""The verdict on a chunk's bytes: a fact of its commit, of the proof of its archive copy, or of its own."""

from collections.abc import Mapping
from datetime import datetime
from typing import Self

from pydantic import ValidationError

from recording.formats.verdict import Outcome
from recording.formats.verdict import Verdict as Structure
from recording.model.record import Record, to_header

# What is not known to be incomplete counts as complete.
_RANKS: dict[Outcome, int] = {"complete": 2, "undecided": 2, "truncated": 1}


class ChunkVerdict(Record):
    """What the structure of a chunk's bytes says, and when that was first found; it never decides about keeping them.

    Without a fact the bytes are complete. `undecided` counts as complete, until all bytes of the archive copy are read.
    """

    outcome: Outcome = "complete"
    remarks: tuple[str, ...] = ()
    found_at: datetime | None = None

    @classmethod
    def of(cls, structure: Structure, found_at: datetime) -> Self:
        """Return the verdict for what was found at a time."""
        problem = structure.problem
        remarks = structure.remarks or (() if problem is None else (problem,))
        return cls(outcome=structure.outcome, remarks=remarks, found_at=found_at)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """Read a fact as a listing has it; one that can't be read says that the bytes are not complete."""
        try:
            return cls.model_validate_json(metadata.get("verdict", ""))
        except ValidationError:
            return cls(outcome="truncated", remarks=("its verdict cannot be read",))

    def to_metadata(self) -> dict[str, str]:
        """Return the fact as metadata of its blob, so that a listing has it."""
        return {"verdict": to_header(self.model_dump(mode="json", by_alias=True))}

    @property
    def may_get_better(self) -> bool:
        """Return whether the bytes are known to be incomplete, so that the source may still get others."""
        return self.outcome not in ("complete", "undecided")

    @property
    def is_plain(self) -> bool:
        """Return whether it needs no fact."""
        return self.outcome == "complete" and not self.remarks

    @property
    def rank(self) -> int:
        """Return a number that is larger for a better outcome."""
        return _RANKS.get(self.outcome, 0)
