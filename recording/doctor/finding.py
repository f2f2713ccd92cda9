"""Pure: the findings of an examination, as a table for a terminal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "warn", "fail", "skipped"]

_SIGNS: dict[Mark, str] = {"fail": "✗", "warn": "!", "skipped": "–", "ok": "✓"}  # noqa: RUF001 - a mark, not a minus
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


def table(findings: Sequence[Finding], *, with_passed: bool = True) -> str:
    """Write one line for each finding, what failed first, below it the fix, and the counts.

    Without `with_passed` those that are ok are only counted.

    >>> print(table([Finding("queue", "ok", "is there"), Finding("ACS", "fail", "refused", "set a key")]))
    ✗ ACS    refused
             fix: set a key
    ✓ queue  is there
    1 failed, 1 ok
    """
    shown = [one for mark in _SIGNS for one in findings if one.mark == mark and (with_passed or mark != "ok")]
    width = max((len(one.name) for one in shown), default=0)
    lines = []
    for one in shown:
        lines.append(f"{_SIGNS[one.mark]} {one.name:{width}}  {one.detail}")
        if one.fix:
            lines.append(f"  {'':{width}}  fix: {one.fix}")
    counts = Counter(one.mark for one in findings)
    return "\n".join([*lines, ", ".join(f"{counts[mark]} {_WORDS[mark]}" for mark in _SIGNS if counts[mark])])
