"""The figures of a soak run: `soak.json`, and the table at its end."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.report import columns
from local.soak.checker import Findings

SHOWN = 20
# The paths of chunks: in 2021, and today (docs/acs-contract.md#2021-download, #storage-host).
DOWNLOADS = ("/recording/download/", "/v1/objects/")


def seconds(values: Iterable[float]) -> dict[str, float | None]:
    """Return the 50th, 95th and 99th percentile (nearest rank) and the largest, in seconds."""
    ordered = sorted(values)
    ranks = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: _rank(ordered, percent) for name, percent in ranks.items()}


def fetched(requests: Iterable[Mapping[str, Any]], *, bytes_kept: int, chunks: int) -> dict[str, Any]:
    """Summarize the emulator's journal: what was fetched from the source, compared with what is kept."""
    downloads = [entry for entry in requests if entry["path"].lower().startswith(DOWNLOADS)]
    total = sum(entry["bytesSent"] for entry in downloads)
    return {
        "requests": len(downloads),
        "requestsPerChunk": round(len(downloads) / chunks, 3) if chunks else None,
        "bytesFetched": total,
        "bytesKept": bytes_kept,
        "bytesFetchedPerByteKept": round(total / bytes_kept, 4) if bytes_kept else None,
    }


def verdict(findings: Findings) -> dict[str, Any]:
    """Count what is wrong, with the first examples of each kind."""
    kinds = {
        "lost": findings.lost,
        "damaged": findings.damaged,
        "duplicated": findings.duplicated,
        "unexplained": findings.unexplained,
    }
    counts: dict[str, Any] = {kind: len(found) for kind, found in kinds.items()}
    return {**counts, "examples": {kind: found[:SHOWN] for kind, found in kinds.items() if found}}


def write(path: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")


def sentence(figures: Mapping[str, Any]) -> str:
    """Return a sentence on whether the app kept everything, and what it could not have kept."""
    chunks, gone, spoiled = (f"{figures[name]:,}" for name in ("chunks", "explained", "spoiled"))
    if figures["open"]:
        return (
            f"FAILED: after {figures['seconds']:,.0f} s {len(figures['open'])} recordings were not finished, so that "
            "what is missing of them is counted as lost. Run it with nothing else on the machine, or with a longer "
            "--limit."
        )
    if not figures["ok"]:
        return f"FAILED: of {chunks} chunks something was lost, damaged, duplicated or not explained, see above."
    return (
        f"The app lost nothing: of {chunks} chunks it kept every one that could be fetched, byte for byte. "
        f"{gone} were deleted at the source before that, and the only copy of {spoiled} was changed by the test: "
        "each is listed in its manifest."
    )


def table(figures: Mapping[str, Any]) -> str:
    """Return a table of the main figures."""
    rows = [
        *([name, f"{figures[name]:,}"] for name in ("recordings", "chunks", "explained", "spoiled")),
        *([name, f"{figures[name]:,}"] for name in ("lost", "damaged", "duplicated", "unexplained")),
        ["kills", ", ".join(f"{name} {count}" for name, count in figures["kills"].items()) or "none"],
        *([f"faults in {place}", _faults(found)] for place, found in figures["faults"].items()),
        *([f"event to {step}", _spread(figures["secondsTo"][step])] for step in figures["secondsTo"]),
        ["fetched per byte kept", str(figures["fetched"]["bytesFetchedPerByteKept"])],
        ["requests per chunk", str(figures["fetched"]["requestsPerChunk"])],
        *_growth(figures["growth"]),
    ]
    return columns(["figure", ""], rows)


def _rank(ordered: Sequence[float], percent: int) -> float | None:
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)], 2)


def _spread(found: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value} s" for name, value in found.items())


def _growth(found: Mapping[str, Any]) -> list[list[str]]:
    names = {
        "secondsToArchived": "by tenths: event to archived, p50, s",
        "requestsPerRecording": "by tenths: requests to storage per recording",
        "otherRequestsPerRecording": "by tenths: others per recording",
    }
    return [
        [title, " ".join(str(tenth[name]) for tenth in found["tenths"]) + f"; second half / first half {ratio}"]
        for name, title in names.items()
        if (ratio := found["secondHalfToFirst"].get(name)) is not None
    ]


def _faults(found: Mapping[str, int]) -> str:
    return f"{sum(found.values()):,}: " + ", ".join(f"{kind} {count}" for kind, count in found.items() if count)
