"""Pure: the kinds of file that ACS records, told by their bytes: MP4, MP3 and WAV.

See docs/acs-contract.md#metadata-file.
"""

from collections.abc import Generator
from typing import Literal, get_args

from recording.errors import SourceDamaged
from recording.formats import mp3, mp4, riff

Kind = Literal["mp4", "mp3", "wav"]
CONTENT_TYPES: dict[Kind, str] = {"mp4": "video/mp4", "mp3": "audio/mpeg", "wav": "audio/wav"}
# Of a chunk in staging: its kind isn't known before its bytes come.
UNKNOWN = "media"
# What a walk is sent at each offset.
HEADER = 16
_WALKS = {"mp4": mp4.walk, "mp3": mp3.walk, "wav": riff.walk}


def sniff(head: bytes) -> Kind | None:
    """Tell by a file's first bytes what it is, whatever it is called; None if it's none of the three."""
    if head[4:8] in mp4.FIRST_BOXES:
        return "mp4"
    if head[:4] == riff.MAGIC and head[8:12] == riff.FORM:
        return "wav"
    return "mp3" if head.startswith(mp3.TAG) or mp3.frame(head) else None


def parse_kind(text: str | None) -> Kind | None:
    """Read a kind; None for anything else."""
    return next((one for one in get_args(Kind) if one == text), None)


def kind_of(name: str) -> Kind | None:
    """Tell by its extension what an archived blob is."""
    return parse_kind(name.rpartition(".")[2])


def walk(kind: Kind, size: int) -> Generator[int, bytes, int]:
    """Walk over the structure of a file: yields offsets, is sent up to 16 bytes from each.

    Raises SourceDamaged if the structure isn't that of a whole file.
    """
    return _WALKS[kind](size)


class Walker:
    """Feeds the bytes of a file, as they come, to the walk over its structure."""

    def __init__(self, kind: Kind, size: int) -> None:
        self._walk = walk(kind, size)
        self._at = 0
        self._tail = b""
        self._wanted: int | None = None
        self._size = size
        self._problem: str | None = None
        self._step(None)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        # A header, and small parts behind it, may begin in the piece before: its last bytes are kept.
        held, start = self._tail + piece, self._at - len(self._tail)
        self._at += len(piece)
        while self._wanted is not None:
            end = min(self._wanted + HEADER, self._size)
            if end > self._at:
                break
            self._step(held[self._wanted - start : end - start])
        self._tail = held[1 - HEADER :]

    def problem(self) -> str | None:
        """Say what is wrong with the structure, once all bytes were fed."""
        return self._problem or ("the file ended early" if self._wanted is not None else None)

    def _step(self, head: bytes | None) -> None:
        try:
            self._wanted = next(self._walk) if head is None else self._walk.send(head)
        except StopIteration:
            self._wanted = None
        except SourceDamaged as damaged:
            self._wanted, self._problem = None, damaged.message
