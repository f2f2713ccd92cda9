"""Run the benchmarks: `python -m benchmarks [--quick] [--sizes 64MB,1.5GB] [--only BENCHMARK]`."""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks import bars, big, burst, chart, concurrency, control, day, find, pump, results, resume, slow, sweep
from benchmarks.blobs import NotPut
from benchmarks.cases import FULL, QUICK, SIZES, cases
from benchmarks.worker import WorkerFailed
from local import interrupt
from local.process import ProcessError
from local.stack import ROOT, StackError

# What is measured in a hurry must not take the place of what was measured with care.
_QUICK_FOLDER = ROOT / ".local" / "benchmarks"
_LOGS = ROOT / ".local" / "logs" / "benchmarks"
_CHARTS = {
    "pump": chart.pump,
    "burst": chart.burst,
    "control": chart.control,
    "sweep": chart.sweep,
    "workers": chart.workers,
    "resume": chart.resume,
    "day": chart.day,
}
_FAILURES = (
    *(pump.CopyFailed, big.BigFailed, burst.BurstFailed, control.ControlFailed, sweep.SweepFailed, resume.ResumeFailed),
    *(NotPut, WorkerFailed, ProcessError, StackError),
)


def main(argv: list[str]) -> int:
    """Run what was asked for; the status is 0 whether or not the bars are met, for a bar is no test."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure; write results and charts.")
    parser.add_argument("--quick", action="store_true", help="small sizes, each once, in about two minutes")
    parser.add_argument("--sizes", help=f"of the pump, comma-separated, out of {', '.join(SIZES)}")
    parser.add_argument("--only", choices=tuple(_MEASURES))
    parser.add_argument(
        "--events",
        type=int,
        help=f"of the burst (default: {burst.EVENTS}), or chunks of big ({big.CHUNKS}) or the day ({day.CHUNKS})",
    )
    parser.add_argument("--output", type=Path, help="folder for results.json and the charts")
    arguments = parser.parse_args(argv)
    names = tuple(arguments.sizes.split(",")) if arguments.sizes else QUICK if arguments.quick else FULL
    if unknown := [name for name in names if name not in SIZES]:
        parser.error(f"no such size: {', '.join(unknown)}")
    return interrupt.run(_run(arguments, names, command=_command(arguments)))


async def _run(arguments: argparse.Namespace, names: tuple[str, ...], *, command: str) -> int:
    began = time.monotonic()
    folder: Path = arguments.output or (_QUICK_FOLDER if arguments.quick else ROOT / "benchmarks")
    rows: list[results.Row] = []
    status = 0
    for name, measure in _MEASURES.items():
        if name != arguments.only and (arguments.only or name in _ONLY_ASKED_FOR):
            continue
        try:
            async for row in measure(arguments, names):
                rows.append(row)
        except _FAILURES as failed:
            # What was measured until then is kept, and the other benchmarks run.
            print(f"The benchmark {name} ended early: {failed}", file=sys.stderr)
            status = 1
    if not rows:
        return status
    found = await asyncio.to_thread(_write, folder, rows, command)
    fresh = {results.key(row) for row in rows}
    _say(results.table([row for row in found if results.key(row) in fresh]))
    _say("")
    for bar in bars.check(found):
        _say(bar.line())
    _say(f"\n{time.monotonic() - began:.0f} s; results and charts are in {_short(folder)}")
    return status


async def _pump(arguments: argparse.Namespace, names: tuple[str, ...]) -> AsyncIterator[results.Row]:
    planned = cases(tuple(SIZES[name] for name in names), quick=arguments.quick)
    async for row in pump.run(planned, say=_say):
        yield row


async def _burst(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    events = arguments.events or (burst.QUICK_EVENTS if arguments.quick else burst.EVENTS)
    for row in await burst.run(events, folder=_LOGS, say=_say):
        yield row


async def _concurrency(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    events = arguments.events or (concurrency.QUICK_EVENTS if arguments.quick else concurrency.EVENTS)
    for row in await concurrency.run(events, folder=_LOGS, say=_say):
        yield row


async def _control(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    requests = control.QUICK_REQUESTS if arguments.quick else control.REQUESTS
    for row in await control.run(requests, folder=_LOGS, say=_say):
        yield row


async def _sweep(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    archives, finished = (
        (sweep.QUICK_ARCHIVES, sweep.QUICK_FINISHED) if arguments.quick else (sweep.ARCHIVES, sweep.FINISHED)
    )
    async for row in sweep.run(archives, finished, quick=arguments.quick, folder=_LOGS, say=_say):
        yield row


async def _big(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    chunks = arguments.events or (big.QUICK_CHUNKS if arguments.quick else big.CHUNKS)
    for row in await big.run(chunks, folder=_LOGS, say=_say):
        yield row


async def _resume(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    sizes = resume.QUICK_SIZES if arguments.quick else resume.SIZES
    for row in await resume.run(list(resume.kills(sizes, quick=arguments.quick)), say=_say):
        yield row


async def _slow(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    for row in await slow.run(quick=arguments.quick, say=_say):
        yield row


async def _day(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    chunks = arguments.events or (day.QUICK_CHUNKS if arguments.quick else day.CHUNKS)
    for row in await day.run(chunks, quick=arguments.quick, folder=_LOGS, say=_say):
        yield row


async def _find(arguments: argparse.Namespace, _: tuple[str, ...]) -> AsyncIterator[results.Row]:
    for row in await find.run(find.QUICK_HELD if arguments.quick else find.HELD, say=_say):
        yield row


_MEASURES = {
    "pump": _pump,
    "burst": _burst,
    "concurrency": _concurrency,
    "control": _control,
    "sweep": _sweep,
    "resume": _resume,
    "slow": _slow,
    "big": _big,
    "find": _find,
    "day": _day,
}
# It waits for most of its time.
_ONLY_ASKED_FOR = ("day",)


def _command(arguments: argparse.Namespace) -> str:
    """Write the command as it goes into the results: without the folder, which is of this machine only."""
    options = [f"--{name} {value}" for name in ("sizes", "only", "events") if (value := getattr(arguments, name))]
    return " ".join(["python -m benchmarks", *(["--quick"] if arguments.quick else []), *options])


def _write(folder: Path, rows: list[results.Row], command: str) -> list[results.Row]:
    """Write the results file and the charts, and return all rows, those of earlier runs too."""
    merged = results.merge(folder / "results.json", rows, command=command)
    results.write(folder / "results.json", merged)
    everything: list[results.Row] = merged["rows"]
    for name, draw in _CHARTS.items():
        if drawing := draw(everything):
            (folder / f"{name}.svg").write_text(drawing)
    return everything


def _short(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
