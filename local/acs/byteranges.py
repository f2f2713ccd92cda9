"""Parse the byte range in a Range header, as the service's storage host does."""

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range begins after the end of the content."""


@dataclass(frozen=True)
class ByteRange:
    """A part of a content from ``offset``; it is never empty."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        """Return the Content-Range header."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def parse(header: str | None, size: int) -> ByteRange | None:
    """Return the range, or None for the whole content; raises Unsatisfiable.

    A malformed range is ignored, such as the ``bytes=None`` and ``bytes=3`` that old SDKs send
    (docs/acs-contract.md#storage-host), and so are several ranges at once, as RFC 9110 allows.
    """
    match = None if header is None else _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or not (match["first"] or match["last"]):
        return None
    if not match["first"]:
        length = min(int(match["last"]), size)
        if length == 0:
            raise Unsatisfiable
        return ByteRange(size - length, length)
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size - 1
    if match["last"] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return ByteRange(first, min(last, size - 1) - first + 1)
