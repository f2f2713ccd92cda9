"""Ways to have a file judged: as it passes by in pieces, and by reads."""

from collections.abc import Callable, Iterable

from recording.formats.media import Inspection, early_look, judge
from recording.formats.verdict import Span, Verdict


def inspected(pieces: Iterable[bytes], size: int) -> Verdict:
    """Feed a file piece by piece."""
    inspection = Inspection(size)
    for piece in pieces:
        inspection.feed(piece)
    return inspection.verdict()


def judged(file: bytes, piece: int | None = None) -> Verdict:
    """Feed a file in pieces of one size, or all at once."""
    step = piece or max(1, len(file))
    return inspected((file[first : first + step] for first in range(0, len(file), step)), len(file))


def walked(read: Callable[[Span], bytes], size: int) -> Verdict:
    """Judge a file that is too large to be at hand: `read` makes what is asked for."""
    walk = judge(size)
    try:
        span = next(walk)
        while True:
            span = walk.send(read(Span(span.offset, max(0, min(span.length, size - span.offset)))))
    except StopIteration as done:
        verdict: Verdict = done.value
        return verdict


def looked_at(read: Callable[[Span], bytes], size: int, head: bytes = b"") -> tuple[Verdict, list[Span]]:
    """Judge a file by an early look; the result has the reads that it took."""
    look, asked = early_look(size, head), list[Span]()
    try:
        span = next(look)
        while True:
            asked.append(span)
            found = read(span)
            assert len(found) == span.length > 0
            span = look.send(found)
    except StopIteration as done:
        verdict: Verdict = done.value
        return verdict, asked


def looked_at_file(file: bytes, head: bytes = b"") -> tuple[Verdict, list[Span]]:
    """Judge local bytes by an early look."""
    return looked_at(lambda span: file[span.offset : span.end], len(file), head)
