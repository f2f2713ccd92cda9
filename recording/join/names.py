"""Pure: the name of a joined file, which says what is missing in it."""

from collections.abc import Sequence

from recording.formats.verdict import Kind
from recording.join.parts import Missing

# A name has room for so many indexes; the answer and the chapters list all.
_MOST = 8


def file_name(key: str, kind: Kind, *, part: int, of: int, missing: Sequence[Missing]) -> str:
    """Return the name under which the file is saved.

    >>> lost = [Missing(3, "lost", ""), Missing(4, "notProved", "")]
    >>> file_name("20260301T100000000000Z-3f2b", "mp4", part=1, of=2, missing=lost)
    '20260301T100000000000Z-3f2b_part-1-of-2_without-chunk-3_unproved-chunk-4.mp4'
    """
    words = [key]
    if of > 1:
        words.append(f"part-{part}-of-{of}")
    words += _named("without", [one.index for one in missing if one.state != "notProved"])
    words += _named("unproved", [one.index for one in missing if one.state == "notProved"])
    return f"{'_'.join(words)}.{kind}"


def _named(word: str, indexes: Sequence[int]) -> list[str]:
    if not indexes:
        return []
    more = [f"and-{len(indexes) - _MOST}-more"] if len(indexes) > _MOST else []
    return ["-".join([word, "chunk" if len(indexes) == 1 else "chunks", *map(str, indexes[:_MOST]), *more])]
