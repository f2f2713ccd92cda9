"""The steps of a run: printed while they run, summarized at the end."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class StepError(Exception):
    """A step failed; the message says how."""


@dataclass
class Step:
    """One step: its name, the part of the run, its duration and result. `detail` is a line for the reader."""

    name: str
    part: str = ""
    seconds: float = 0.0
    ok: bool = False
    detail: str = ""


@dataclass
class Report:
    """Collect steps and chunks, and print them in plain lines."""

    steps: list[Step] = field(default_factory=list)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    part: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def ok(self) -> bool:
        """Return whether there were steps and all of them succeeded."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    @property
    def seconds(self) -> float:
        """Return the time since the start."""
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        print(f"[{self.seconds:5.1f} s] {text}", flush=True)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Step]:
        """Time the body; an exception in it marks the step as failed and is raised again."""
        step = Step(name, self.part)
        self.steps.append(step)
        begun = time.monotonic()
        self.say(name)
        try:
            yield step
            step.ok = True
        except BaseException as error:
            step.detail = str(error) or type(error).__name__
            raise
        finally:
            step.seconds = round(time.monotonic() - begun, 3)
            if step.ok and step.detail:
                self.say(f"  {step.detail}")

    def write_summary(self, path: Path) -> None:
        """Write everything as JSON: ok, seconds, steps, chunks and the facts."""
        summary = {
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "steps": [vars(step) for step in self.steps],
            "chunks": self.chunks,
            **self.facts,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(summary, indent=2) + "\n")


_LONGEST_RULE = 60


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in plain text, each column as wide as its widest cell."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * min(width, _LONGEST_RULE) for width in widths])
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
