"""Show the traces in a log, one recording after the other: `python -m local trace [LOG ...]`.

The app prints a span as `span {"name": …}` when TELEMETRY is `console`. Its control operations are a separate trace, to
which the span of the file event links; both are shown together.
"""

import argparse
import contextlib
import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from local.stack import LOGS

# Core Tools prefixes the output of a worker with the time.
_SPAN = re.compile(r'\bspan (\{"name": .*\})\s*$')
_HIDDEN = ("recordingKey", "recordingId", "conversationId", "code")


def read(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the spans in the lines of a log, the earliest first."""
    found = []
    for text in lines:
        # Two processes that print at the same time can break a line.
        with contextlib.suppress(ValueError):
            if match := _SPAN.search(text):
                found.append(json.loads(match[1]))
    return sorted(found, key=lambda span: str(span["start"]))


def show(spans: list[dict[str, Any]]) -> str:
    """Return each recording's trace, with the one that it links to; then the traces to which no recording links."""
    traces: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        traces.setdefault(span["traceId"], []).append(span)
    shown, seen = [], set()
    for trace_id, own in traces.items():
        if key := own[0]["attributes"].get("recordingKey"):
            linked = {one for span in own for one in span["links"] if one in traces}
            seen |= {trace_id, *linked}
            every = [span for one in linked for span in traces[one]] + own
            shown.append("\n".join([f"recording {key}, trace {trace_id}", *_rows(every)]))
    for trace_id, own in traces.items():
        if trace_id not in seen:
            shown.append("\n".join([f"trace {trace_id}, to which no recording links", *_rows(own)]))
    return "\n\n".join(shown)


def _rows(spans: list[dict[str, Any]]) -> list[str]:
    ordered = sorted(spans, key=lambda span: str(span["start"]))
    first = datetime.fromisoformat(ordered[0]["start"])
    return [_row(span, (datetime.fromisoformat(span["start"]) - first).total_seconds()) for span in ordered]


def _row(span: dict[str, Any], after: float) -> str:
    facts = {name: value for name, value in span["attributes"].items() if name not in _HIDDEN}
    more = " ".join(f"{name}={value}" for name, value in facts.items())
    code = span["attributes"].get("code", "")
    return f"  +{after:8.3f} s {span['ms']:9.1f} ms  {span['name']:<18} {code:<12} {more}".rstrip()


def main(argv: list[str]) -> int:
    """Show the traces in the given logs; return 1 if there are none."""
    parser = argparse.ArgumentParser(prog="python -m local trace", description="Show the traces in a log.")
    parser.add_argument("logs", nargs="*", type=Path, help="logs of the app (default: all in .local/logs)")
    logs = parser.parse_args(argv).logs or sorted(LOGS.rglob("functions*.log"))
    spans = read(line for log in logs for line in log.read_text(errors="replace").splitlines())
    print(show(spans) or "No spans found: is TELEMETRY=console set?")
    return 0 if spans else 1
