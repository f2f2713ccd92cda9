"""Fault rules in order, and how often each was met: what both fault injectors share."""

import asyncio
import contextlib
import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from local.acs.bodies import ControlBody


class FaultRule(ControlBody):
    """Which requests go wrong; ``times`` null means always.

    ``path`` is a glob on the decoded path, in which ``*`` also matches ``/``.
    """

    method: Annotated[str, Field(min_length=1)] = "*"
    path: Annotated[str, Field(min_length=1)] = "*"
    times: Annotated[int, Field(ge=1)] | None = 1
    skip: Annotated[int, Field(ge=0)] = 0

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is one of those the rule is for; case does not matter."""
        return globs(self.method, method) and globs(self.path, path)


def globs(pattern: str, text: str) -> bool:
    """Match a glob, whatever the case."""
    return fnmatch.fnmatchcase(text.lower(), pattern.lower())


@dataclass
class _Counted[Kept: FaultRule]:
    rule: Kept
    skipped: int = 0
    applied: int = 0


class RuleBook[Kept: FaultRule]:
    """Hold rules and count: the first one that matches and has something left is taken."""

    def __init__(self) -> None:
        self._counted: list[_Counted[Kept]] = []
        self._cleared = asyncio.Event()

    def add(self, rules: list[Kept]) -> None:
        """Append rules."""
        self._counted += [_Counted(rule) for rule in rules]

    def clear(self) -> None:
        """Remove all rules; what hangs by one of them goes on."""
        self._counted.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def hang(self, seconds: float) -> None:
        """Wait, until the rules are cleared at most: a test says itself when to go on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cleared.wait(), seconds)

    def view(self) -> list[dict[str, Any]]:
        """Return the rules as JSON shows them, with ``skipped`` and ``applied`` counts."""
        return [
            counted.rule.model_dump(by_alias=True, exclude_none=True)
            | {"times": counted.rule.times, "skipped": counted.skipped, "applied": counted.applied}
            for counted in self._counted
        ]

    def take(self, is_meant: Callable[[Kept], bool]) -> Kept | None:
        """Return the rule to apply to a request, and count it."""
        for counted in self._counted:
            rule = counted.rule
            if counted.applied == rule.times or not is_meant(rule):
                continue
            if counted.skipped < rule.skip:
                counted.skipped += 1
                continue
            counted.applied += 1
            return rule
        return None
