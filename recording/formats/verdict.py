"""Pure: the verdict on a file, and the walk that reaches it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["mp4", "mp3", "wav"]
# complete: its structure is whole; remarks say what is odd about it, and players play it all the same.
# truncated: bytes are missing, or it is damaged so that nothing plays.
# not media: nothing known begins here.
# error page: text, in the place of media. empty: no bytes.
# undecided: too few bytes were seen; this says nothing about the file.
Outcome = Literal["complete", "truncated", "not media", "error page", "empty", "undecided"]

# The most that a walk asks for at once, and so the most that has to be held of a file that passes by.
WINDOW = 8 * 1024


@dataclass(frozen=True)
class Verdict:
    """What the structure of a file says about it.

    `remarks` say what is odd, and for `truncated` first of all what is missing. `seconds` is how long the file plays,
    as far as its structure tells: a cut between two frames or fragments shows nowhere else.
    """

    outcome: Outcome
    kind: Kind | None = None
    remarks: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def problem(self) -> str | None:
        """What is wrong with the file; None if it is complete, whatever is odd about it, and if nobody knows."""
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
        """The first byte behind it."""
        return self.offset + self.length


# A walk over a file of a known size: yields spans, is sent their bytes (fewer only at the file's end), and returns
# its result. It goes forward only: no span begins before the one that was asked for last.
type Walk[Result] = Generator[Span, bytes, Result]
