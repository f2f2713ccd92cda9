"""Run the benchmarks: `python -m benchmarks [--quick] [--sizes 64MB,1.5GB] [--only pump|burst]`."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from benchmarks import bars, burst, chart, pump, results
from benchmarks.cases import FULL, QUICK, SIZES, cases
from local import interrupt
from local.process import ProcessError
from local.stack import ROOT, StackError

# What is measured in a hurry must not take the place of what was measured with care.
_QUICK_FOLDER = ROOT / ".local" / "benchmarks"
_LOGS = ROOT / ".local" / "logs" / "benchmarks"


def main(argv: list[str]) -> int:
    """Run what was asked for; the status is 0 whether or not the bars are met, for a bar is no test."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure; write results and charts.")
    parser.add_argument("--quick", action="store_true", help="small sizes, each once, in under a minute")
    parser.add_argument("--sizes", help=f"of the pump, comma-separated, out of {', '.join(SIZES)}")
    parser.add_argument("--only", choices=("pump", "burst"))
    parser.add_argument("--events", type=int, help=f"of the burst (default: {burst.EVENTS})")
    parser.add_argument("--output", type=Path, help="folder for results.json, pump.svg and burst.svg")
    arguments = parser.parse_args(argv)
    names = tuple(arguments.sizes.split(",")) if arguments.sizes else QUICK if arguments.quick else FULL
    if unknown := [name for name in names if name not in SIZES]:
        parser.error(f"no such size: {', '.join(unknown)}")
    return interrupt.run(_run(arguments, names, command=_command(arguments)))


async def _run(arguments: argparse.Namespace, names: tuple[str, ...], *, command: str) -> int:
    began = time.monotonic()
    folder: Path = arguments.output or (_QUICK_FOLDER if arguments.quick else ROOT / "benchmarks")
    rows: list[results.Row] = []
    try:
        if arguments.only != "burst":
            planned = cases(tuple(SIZES[name] for name in names), quick=arguments.quick)
            rows += await pump.run(planned, say=_say)
        if arguments.only != "pump":
            events = arguments.events or (burst.QUICK_EVENTS if arguments.quick else burst.EVENTS)
            rows += await burst.run(events, folder=_LOGS, say=_say)
    except (pump.CopyFailed, burst.BurstFailed, ProcessError, StackError) as failed:
        print(f"The benchmark ended early: {failed}", file=sys.stderr)
        return 1
    found = await asyncio.to_thread(_write, folder, rows, command)
    fresh = {results.key(row) for row in rows}
    _say(results.table([row for row in found if results.key(row) in fresh]))
    _say("")
    for bar in bars.check(found):
        _say(bar.line())
    _say(f"\n{time.monotonic() - began:.0f} s; results and charts are in {_short(folder)}")
    return 0


def _command(arguments: argparse.Namespace) -> str:
    """Write the command as it goes into the results: without the folder, which is of this machine only."""
    options = [f"--{name} {value}" for name in ("sizes", "only", "events") if (value := getattr(arguments, name))]
    return " ".join(["python -m benchmarks", *(["--quick"] if arguments.quick else []), *options])


def _write(folder: Path, rows: list[results.Row], command: str) -> list[results.Row]:
    """Write the results file and the charts; the answer is all rows, those of earlier runs too."""
    merged = results.merge(folder / "results.json", rows, command=command)
    results.write(folder / "results.json", merged)
    everything: list[results.Row] = merged["rows"]
    for name, drawing in (("pump", chart.pump(everything)), ("burst", chart.burst(everything))):
        if drawing:
            (folder / f"{name}.svg").write_text(drawing)
    return everything


def _short(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
