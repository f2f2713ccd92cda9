"""Pure: the verdict on a file, and the walk that produces it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["mp4", "mp3", "wav"]
# complete: structurally complete; remarks name what is unusual, and players play it nevertheless.
# truncated: bytes are missing, or it is damaged so that nothing plays.
# not media: no known format.
# error page: text instead of media. empty: no bytes.
# undecided: too few bytes were seen.
Outcome = Literal["complete", "truncated", "not media", "error page", "empty", "undecided"]

# The most that a walk asks for at once, and so the most that has to be held of a file in transit.
WINDOW = 8 * 1024


@dataclass(frozen=True)
class Verdict:
    """The result of judging the structure of a file.

    `remarks` name what is unusual; the first of `truncated` is what is missing. `seconds` is the duration by the
    structure, if known: a cut between two frames or fragments is visible nowhere else.
    """

    outcome: Outcome
    kind: Kind | None = None
    remarks: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def problem(self) -> str | None:
        """The reason why the file is not complete; None if it is complete, with remarks or not, or undecided."""
        match self.outcome:
            case "complete" | "undecided":
                return None
            case "truncated":
                return "; ".join(self.remarks)
            case "not media":
                return "the bytes are no media that is known"
            case "error page":
                return "the bytes are text, in the place of media"
            case "empty":
                return "the file has no bytes"


class Span(NamedTuple):
    """The bytes of a file that a walk asks for."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.offset + self.length


# A walk over a file of a known size: yields spans, is sent their bytes (fewer only at the file's end), and returns
# its result. It only goes forward: no span begins before the previous one.
type Walk[Result] = Generator[Span, bytes, Result]
