"""Compare the cold start of checkouts: `python -m benchmarks.cold_start BEFORE AFTER [--rounds 10]`.

A cold start is what the first event waits for when Azure starts a new worker: a fresh interpreter that imports
function_app.py through azure-functions-runtime, as in Azure, and then handles its first event against Azurite. The
starts are interleaved, so that what else the machine does hits all checkouts alike. All are started by the worker of
this checkout, and the containers exist, as in an app that has run before.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import burst
from benchmarks.document import document_id
from local import interrupt
from local.azurite import Azurite
from local.functions import bindings, metadata
from local.functions.errors import StartError
from local.functions.supervisor import Supervisor
from local.functions.values import Invocation, TypedData
from local.process import ProcessError
from local.report import columns
from local.stack import ROOT, child_environment

ROUNDS = 10
# What a change may cost at most before it has to be explained.
MOST = 1.1
_FUNCTION = "receive_event"
_CHUNK_BYTES = 1_000_000
_START_SECONDS = 60.0
# The event isn't fetched from anywhere: only its settings have to be there.
_ACS = "endpoint=http://127.0.0.1:9;accesskey=YmVuY2htYXJr"


class StartFailed(RuntimeError):
    """A checkout's app couldn't be started, or didn't accept the event."""


@dataclass(frozen=True)
class Start:
    """One cold start: seconds until the app is imported, then until its first event is handled; CPU of both."""

    import_seconds: float
    first_event_seconds: float
    cpu_seconds: float

    @property
    def seconds(self) -> float:
        """Return the time that the first event waits."""
        return self.import_seconds + self.first_event_seconds


async def compare(checkouts: list[Path], rounds: int, *, say: Callable[[str], None]) -> list[list[Start]]:
    """Start each checkout `rounds` times, in turns; the answer has the starts of each. Raises StartFailed."""
    found: list[list[Start]] = [[] for _ in checkouts]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with Azurite() as azurite:
            # Uncounted, the first of each: it compiles the modules and makes the containers.
            for number in range(rounds + 1):
                turns = list(enumerate(checkouts))
                # Who comes second finds the machine as the first has left it.
                for place, checkout in turns if number % 2 else reversed(turns):
                    start = await start_in_child(checkout, azurite.connection_string, log=Path(folder) / "worker.log")
                    if number:
                        found[place].append(start)
                        say(f"  {number:>2}/{rounds}  {checkout.name:<24} {start.seconds:.3f} s")
    return found


async def start_in_child(checkout: Path, storage: str, *, log: Path) -> Start:
    """Do one start from a process of its own, so that what the worker logs doesn't mix with the figures."""
    command = [sys.executable, "-m", "benchmarks.cold_start", str(checkout), "--storage", storage]
    with log.open("w") as output:
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=output, cwd=ROOT)
        try:
            async with asyncio.timeout(_START_SECONDS):
                out, _ = await child.communicate()
        except TimeoutError:
            raise StartFailed(f"{checkout} didn't start within {_START_SECONDS:.0f} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    if child.returncode:
        raise StartFailed(f"{checkout} didn't start:\n{log.read_text(errors='replace')[-3000:]}")
    return Start(**json.loads(out))


async def start(checkout: Path, storage: str) -> Start:
    """Start the app of a checkout and give it an event. Raises StartFailed or StartError."""
    settings = {
        "AzureWebJobsStorage": storage,
        "ACS_CONNECTION_STRING": _ACS,
        "ARCHIVE_SCHEDULE": burst.NEVER,
        "AzureWebJobsScriptRoot": str(checkout),
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "FUNCTIONS_WORKER_RUNTIME": "python",
    }
    supervisor = Supervisor(app_dir=checkout, environ=child_environment(settings), function_timeout=_START_SECONDS)
    began = time.perf_counter()
    try:
        indexed = await supervisor.start()
        imported = time.perf_counter()
        function = next((one for one in metadata.parse(indexed, settings) if one.name == _FUNCTION), None)
        if function is None:
            raise StartFailed(f"{checkout} has no function {_FUNCTION}")
        event = _event()
        data = {function.trigger.name: TypedData("json", json.dumps(event))}
        invocation = Invocation(str(uuid.uuid4()), function.id, function.name, data, bindings.event_grid_data(event))
        asked = time.perf_counter()
        outcome = await supervisor.invoke(invocation)
        handled = time.perf_counter()
        if not outcome.ok or not any(outcome.outputs.values()):
            raise StartFailed(f"the event was not accepted: {outcome.error or 'no job was queued'}\n{outcome.stack}")
        cpu = psutil.Process(supervisor.pid).cpu_times()
    finally:
        await supervisor.stop()
    return Start(imported - began, handled - asked, cpu.user + cpu.system)


def _event() -> burst.Row:
    chunk = {"documentId": document_id(_CHUNK_BYTES, number=1), "index": 0, "endReason": "SessionEnded"}
    start_time = datetime.now(UTC).isoformat()
    return burst.event({"callId": str(uuid.uuid4()), "startTime": start_time, "chunks": [{**chunk, "durationMs": 1}]})


def table(checkouts: list[Path], found: list[list[Start]]) -> str:
    """Lay out the medians, and what the last checkout costs beside the first."""
    medians = [[statistics.median(figure(one) for one in starts) for figure in _FIGURES.values()] for starts in found]
    rows = [[name, *(f"{each[row]:.3f}" for each in medians)] for row, name in enumerate(_FIGURES)]
    if len(checkouts) > 1:
        for row, line in enumerate(rows):
            line.append(f"{medians[-1][row] / medians[0][row]:.2f}")
    head = ["median", *(one.name for one in checkouts), *(["last/first"] if len(checkouts) > 1 else [])]
    return columns(head, rows)


def is_within(found: list[list[Start]]) -> bool:
    """Return whether the last checkout's median is at most MOST times the first's."""
    first, last = (statistics.median(one.seconds for one in starts) for starts in (found[0], found[-1]))
    return last <= MOST * first


_FIGURES: dict[str, Callable[[Start], float]] = {
    "import, seconds": lambda one: one.import_seconds,
    "first event, seconds": lambda one: one.first_event_seconds,
    "both, seconds": lambda one: one.seconds,
    "both, CPU-seconds": lambda one: one.cpu_seconds,
}


def main(argv: list[str]) -> int:
    """Compare the checkouts; return 1 if the last is slower than the first by more than MOST allows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_start", description="Compare cold starts.")
    parser.add_argument("checkouts", nargs="*", type=Path, default=[ROOT], help="folders (default: this checkout)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="starts of each checkout (default: %(default)s)")
    # With it one start is done and printed as JSON: how the starts are run.
    parser.add_argument("--storage", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    checkouts: list[Path] = [one.resolve() for one in arguments.checkouts]
    if missing := [str(one) for one in checkouts if not (one / "function_app.py").is_file()]:
        parser.error(f"there is no function_app.py in {', '.join(missing)}: give the folder of a checkout")
    if arguments.storage:
        return _print_one(checkouts[0], arguments.storage)
    return interrupt.run(_compare(checkouts, arguments.rounds))


def _print_one(checkout: Path, storage: str) -> int:
    try:
        # Alone on stdout: what the worker prints goes to stderr.
        print(json.dumps(asdict(asyncio.run(start(checkout, storage)))))
    except (StartFailed, StartError) as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


async def _compare(checkouts: list[Path], rounds: int) -> int:
    print(f"{rounds} cold starts of each, interleaved, about {4 * (rounds + 1) * len(checkouts)} s", flush=True)
    try:
        found = await compare(checkouts, rounds, say=lambda text: print(text, flush=True))
    except (StartFailed, ProcessError) as failed:
        print(failed, file=sys.stderr)
        return 1
    print(f"\n{table(checkouts, found)}")
    if len(checkouts) == 1:
        return 0
    met = is_within(found)
    print(f"\n{'met' if met else 'NOT MET'}: the last takes at most {MOST} times as long as the first (median)")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
