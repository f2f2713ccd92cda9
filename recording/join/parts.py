"""Pure: the plan of a joined file: which bytes it consists of, and what is where in it.

A recording is joined into one file, or into several parts if its chunks are coded differently. Each part is a list of
pieces, in the order of the file. Only the ranges of chunks are long; whoever carries out the plan copies them from
storage to storage.
"""

from dataclasses import dataclass
from typing import Literal

from recording.formats.media import CONTENT_TYPES
from recording.formats.verdict import Kind
from recording.join.refusals import Refusal

# Literal bytes come in pieces of at most so many bytes, so that each fits into a block.
LARGEST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Range:
    """The bytes from `begin` to before `end` of a chunk's content; `chunk` is its place in `Recording.sources`."""

    chunk: int
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.end - self.begin


@dataclass(frozen=True)
class Bytes:
    """Bytes that are in no chunk: the head of the file, chapter titles, a tail; at most `LARGEST_BYTES`."""

    content: bytes

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return len(self.content)


@dataclass(frozen=True)
class Silence:
    """Packets of silence between two chunks: the bytes of one, and how many. An hour has 225 kB at 16 kHz."""

    packet: bytes
    count: int

    @property
    def content(self) -> bytes:
        """Return all bytes."""
        return self.packet * self.count

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return len(self.packet) * self.count


type Piece = Range | Bytes | Silence


@dataclass(frozen=True)
class Chapter:
    """A place in a joined file that has a title; `at` is in seconds from its beginning."""

    at: float
    title: str


@dataclass(frozen=True)
class Place:
    """A chunk in a joined file.

    `chunk` is its place in `Recording.sources`, `index` the one that was announced. What the chunk plays at second x
    the file plays at `begins_at` + x. `seconds` is until the next chunk begins, or the file ends.
    """

    chunk: int
    index: int
    begins_at: float
    seconds: float


@dataclass(frozen=True)
class Missing:
    """A chunk that is not as it should be: not in the file, or (`notProved`) in it though nothing proves its bytes.

    lost: gone. waiting: not in storage yet. damaged: what was delivered can't be played.
    `why` is a sentence without a full stop.
    """

    index: int
    state: Literal["lost", "waiting", "damaged", "notProved"]
    why: str


@dataclass(frozen=True)
class Part:
    """One playable file, part `part` of `of`.

    `pieces` are its bytes in order, `size` is their sum. `seconds` is how long it plays, None if nothing says it.
    `missing` are the chunks that are missing before, in or behind its chunks: each is named in one part.
    `because` says why it doesn't continue the part before. `remarks` say what of the chunks was left out or repaired.
    """

    kind: Kind
    pieces: tuple[Piece, ...]
    chunks: tuple[Place, ...]
    file_name: str
    seconds: float | None = None
    part: int = 1
    of: int = 1
    chapters: tuple[Chapter, ...] = ()
    missing: tuple[Missing, ...] = ()
    because: Refusal | None = None
    remarks: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Return the number of bytes of the file."""
        return sum(piece.size for piece in self.pieces)

    @property
    def content_type(self) -> str:
        """Return the content type, for example `video/mp4`."""
        return CONTENT_TYPES[self.kind]

    @property
    def extension(self) -> str:
        """Return the extension of its name, without a full stop."""
        return self.kind

    @property
    def is_chunk_itself(self) -> bool:
        """Return whether it is one chunk from its first byte to its last: then nothing has to be made."""
        return len(self.chunks) == 1 and all(isinstance(piece, Range) for piece in self.pieces)


@dataclass(frozen=True)
class Joined:
    """The files of a recording: one, or several whose chunks differ; in the order of time."""

    parts: tuple[Part, ...]
