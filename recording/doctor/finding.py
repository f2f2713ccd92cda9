"""Pure: the findings of an examination, as a table for a terminal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "warn", "fail", "skipped"]

_SIGNS: dict[Mark, str] = {"ok": "✓", "warn": "!", "fail": "✗", "skipped": "–"}  # noqa: RUF001 - a mark, not a minus
_WORDS: dict[Mark, str] = {"ok": "ok", "warn": "warnings", "fail": "failed", "skipped": "skipped"}


@dataclass(frozen=True)
class Finding:
    """The result of one check, and the fix for it: a command or a setting."""

    name: str
    mark: Mark
    detail: str
    fix: str | None = None


def has_passed(findings: Sequence[Finding]) -> bool:
    """Return whether nothing failed; a warning is no failure."""
    return all(one.mark != "fail" for one in findings)


def table(findings: Sequence[Finding]) -> str:
    """Write one line for each finding, below it the fix, and the counts.

    >>> print(table([Finding("queue", "ok", "is there"), Finding("ACS", "fail", "refused", "set a key")]))
    ✓ queue  is there
    ✗ ACS    refused
             fix: set a key
    1 ok, 1 failed
    """
    width = max((len(one.name) for one in findings), default=0)
    lines = []
    for one in findings:
        lines.append(f"{_SIGNS[one.mark]} {one.name:{width}}  {one.detail}")
        if one.fix:
            lines.append(f"  {'':{width}}  fix: {one.fix}")
    counts = Counter(one.mark for one in findings)
    return "\n".join([*lines, ", ".join(f"{counts[mark]} {_WORDS[mark]}" for mark in _SIGNS if counts[mark])])
