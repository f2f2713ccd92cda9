"""Documents whose id says how large they are, so that no server needs a list of them.

Source and sink derive the same bytes from the same id: the source serves them, and the sink, which
drops what it is sent, serves them again when the archive copy is made and read.
"""

import re
from functools import lru_cache

from local.acs.filler import Filler

_ID = re.compile(r"0-bench-(?P<size>\d+)-(?P<number>\d+)")


def document_id(size: int, *, number: int) -> str:
    """Name a document of `size` bytes; another number is another content."""
    return f"0-bench-{size}-{number}"


@lru_cache(maxsize=64)
def filler(text: str) -> Filler | None:
    """Return the content that the document id in `text`, a URL or blob name, stands for; None without one."""
    match = _ID.search(text)
    return Filler(int(match["size"]), seed=int(match["number"])) if match else None
