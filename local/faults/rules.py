"""Which requests go wrong: those that match a rule, or random ones; and the control plane for both."""

import asyncio
import contextlib
import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from aiohttp import web
from pydantic import Field, model_validator

from local.acs import bodies
from local.faults.chaos import Chaos, ChaosBody

_NEEDS = {
    "status": "status",
    "slow": "bytes_per_second",
    "hang": "seconds",
    "lateAnswer": "seconds",
    "redirect": "location",
}


@dataclass(frozen=True)
class Call:
    """What a request asks for; ``path`` is decoded, and random faults have a rate for each ``operation``."""

    method: str
    path: str
    operation: str
    query: Mapping[str, str]


class FaultRule(bodies.ControlBody):
    """Which requests go wrong, and the fields that more than one kind of fault has.

    ``path`` is a glob on the decoded path, in which ``*`` also matches ``/``. The rule lets ``skip`` requests through,
    then applies ``times`` times (null: always).
    """

    kind: str
    method: Annotated[str, Field(min_length=1)] = "*"
    path: Annotated[str, Field(min_length=1)] = "*"
    times: Annotated[int, Field(ge=1)] | None = 1
    skip: Annotated[int, Field(ge=0)] = 0
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    retry_after: str | int | None = None
    after_bytes: Annotated[int, Field(ge=0)] | None = None
    bytes_per_second: bodies.Positive | None = None
    seconds: Annotated[bodies.NotNegative, Field(le=600)] | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        needed = _NEEDS.get(self.kind)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"kind {self.kind} needs {needed}")
        return self

    def matches(self, call: Call) -> bool:
        """Return whether the rule is for a request; case doesn't matter."""
        return globs(self.method, call.method) and globs(self.path, call.path)


def globs(pattern: str, text: str) -> bool:
    """Match a glob, whatever the case."""
    return fnmatch.fnmatchcase(text.lower(), pattern.lower())


@dataclass
class _Counted[Rule: FaultRule]:
    rule: Rule
    skipped: int = 0
    applied: int = 0


class Faults[Rule: FaultRule]:
    """Hold the rules and the random faults of a server, and count how often each was applied.

    ``kinds`` has the operations to which each kind of random fault applies, ``paths`` the documents if it doesn't apply
    to all; ``rule_fields`` returns a random fault as the fields of a rule.
    """

    def __init__(
        self,
        model: type[Rule],
        *,
        kinds: Mapping[str, frozenset[str]],
        paths: Mapping[str, re.Pattern[str]] | None = None,
        rule_fields: Callable[[str, ChaosBody], dict[str, Any]],
    ) -> None:
        self._model = model
        self._rule_fields = rule_fields
        self._counted: list[_Counted[Rule]] = []
        self._cleared = asyncio.Event()
        self.chaos = Chaos(kinds, paths)

    def add(self, rules: list[Rule]) -> None:
        """Append rules."""
        self._counted += [_Counted(rule) for rule in rules]

    def clear(self) -> None:
        """Remove all rules; requests that hang because of one go on."""
        self._counted.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def hang(self, seconds: float) -> None:
        """Wait so long, or until the rules are cleared: a test decides when to go on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cleared.wait(), seconds)

    def view(self) -> list[dict[str, Any]]:
        """Return the rules as JSON shows them, with ``skipped`` and ``applied`` counts."""
        return [
            counted.rule.model_dump(by_alias=True, exclude_none=True)
            | {"times": counted.rule.times, "skipped": counted.skipped, "applied": counted.applied}
            for counted in self._counted
        ]

    def take(self, call: Call) -> Rule | None:
        """Return the rule to apply to a request, and count it: the first that matches, else a random fault's."""
        for counted in self._counted:
            rule = counted.rule
            if counted.applied == rule.times or not rule.matches(call):
                continue
            if counted.skipped < rule.skip:
                counted.skipped += 1
                continue
            counted.applied += 1
            return rule
        kind = self.chaos.decide(call.operation, call.path)
        if kind is None or self.chaos.settings is None:
            return None
        return self._model.model_validate(self._rule_fields(kind, self.chaos.settings))

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return the control plane: ``/faults`` and ``/chaos``, each with GET, POST and DELETE."""

        async def list_rules(_: web.Request) -> web.Response:
            return web.json_response({"faults": self.view()})

        async def add_rules(request: web.Request) -> web.Response:
            raw = await request.read()
            is_list = raw.lstrip().startswith(b"[")
            self.add(bodies.parse_list(raw, self._model) if is_list else [bodies.parse(raw, self._model)])
            return web.json_response({"faults": self.view()}, status=201)

        async def clear_rules(_: web.Request) -> web.Response:
            self.clear()
            return web.json_response({})

        async def show_chaos(_: web.Request) -> web.Response:
            return web.json_response(self.chaos.view())

        async def start_chaos(request: web.Request) -> web.Response:
            self.chaos.start(await bodies.read(request, ChaosBody))
            return web.json_response(self.chaos.view(), status=201)

        async def stop_chaos(_: web.Request) -> web.Response:
            self.chaos.stop()
            return web.json_response(self.chaos.view())

        return [
            web.get(prefix + "/faults", list_rules, allow_head=False),
            web.post(prefix + "/faults", add_rules),
            web.delete(prefix + "/faults", clear_rules),
            web.get(prefix + "/chaos", show_chaos, allow_head=False),
            web.post(prefix + "/chaos", start_chaos),
            web.delete(prefix + "/chaos", stop_chaos),
        ]
