"""Pure: why chunks are not joined, in words for the one who asked for the file."""

from dataclasses import dataclass
from typing import Literal

# codec, pictureSize, sound, tracks, samples: it is coded differently from the chunk before. Its run ends there, and
#   another file begins with it.
# channelMap: a channel of unmixed sound is another participant's, so one file would mix up who speaks.
# mixedFormats: the recording has chunks of different formats.
# fragmented, encrypted, elsewhere, editList, index, cut: the chunk is one that can't be joined.
# tooLarge: the tables of all chunks together are more than is held in memory.
# nothing: no chunk of the recording can be played.
# failed: whoever made the file gave it up; it is no result of a plan.
Reason = Literal[
    "codec",
    "pictureSize",
    "sound",
    "tracks",
    "samples",
    "channelMap",
    "mixedFormats",
    "fragmented",
    "encrypted",
    "elsewhere",
    "editList",
    "index",
    "cut",
    "tooLarge",
    "nothing",
    "failed",
]


@dataclass(frozen=True)
class Refusal:
    """Why a chunk is not joined to the one before; `chunk` is its index, or None if it is about all of them.

    The message is a sentence without a full stop that names the chunk.
    """

    reason: Reason
    chunk: int | None
    message: str


@dataclass(frozen=True)
class Refused:
    """Nothing is joined, for these reasons: at least one, in the order of the chunks."""

    refusals: tuple[Refusal, ...]


class Unjoinable(Exception):
    """A chunk can't be joined, because of what its bytes say; `plan` turns it into a `Refusal`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
