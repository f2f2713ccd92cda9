"""Run the soak test; the exit status is 0 only if nothing was lost, damaged, duplicated or left unexplained."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
from azure.core.exceptions import AzureError

from local import interrupt
from local.process import ProcessError
from local.soak import figures
from local.soak.run import IN_MEMORY_RECORDINGS, Options, run
from local.soak.source import SoakError
from local.stack import APIS, LOGS, StackError

PER_SECOND = 4.0
LIMIT_BASE_SECONDS, LIMIT_SECONDS_EACH = 300.0, 1.5


def main(argv: list[str]) -> int:
    """Run the soak test."""
    arguments = _parse(argv)
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        limit = LIMIT_BASE_SECONDS + LIMIT_SECONDS_EACH * arguments.recordings
        options = Options(
            api=arguments.api,
            recordings=arguments.recordings,
            seed=arguments.seed,
            has_kills=arguments.kills,
            faults=arguments.faults,
            per_second=arguments.per_second,
            keeps=arguments.keep,
            limit_seconds=arguments.limit or limit,
            logs=arguments.logs.absolute(),
            data=Path(folder) if arguments.recordings > IN_MEMORY_RECORDINGS else None,
        )
        return interrupt.run(_soak(options, arguments.out.absolute()))


async def _soak(options: Options, out: Path) -> int:
    try:
        found: dict[str, Any] = await run(options)
    except (SoakError, StackError, ProcessError, aiohttp.ClientError, AzureError, ExceptionGroup) as failed:
        print(f"The run ended early: {_first(failed)!r}", file=sys.stderr)
        return 1
    await asyncio.to_thread(figures.write, out, found)
    print(f"\n{figures.table(found)}\n")
    for kind, examples in found["examples"].items():
        for example in examples:
            print(f"{kind.upper()}: {example}")
    for sentence in found["sentences"]:
        print(sentence)
    print(f"{figures.sentence(found)}\nFigures: {out}. Logs: {options.logs}")
    return 0 if found["ok"] else 1


def _first(failed: Exception) -> Exception:
    """Return the first failure of a task group: all have the same cause."""
    return _first(failed.exceptions[0]) if isinstance(failed, ExceptionGroup) else failed


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local soak", description=__doc__)
    parser.add_argument("--recordings", type=int, default=1000, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--api", choices=APIS, default="today", help="the recording API (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of plan, faults and kills (default: %(default)s)")
    parser.add_argument(
        "--kills", action="store_true", help="kill hosts and workers, and run a second host from time to time"
    )
    parser.add_argument(
        "--keep", action="store_true", help="hold, erase or let expire a tenth of the recordings meanwhile"
    )
    parser.add_argument(
        "--faults", type=float, default=1.0, help="a factor for all rates of faults; 0 for none (default: 1)"
    )
    parser.add_argument(
        "--per-second", type=float, default=PER_SECOND, help="recordings per second (default: %(default)s)"
    )
    parser.add_argument(
        "--limit", type=float, metavar="SECONDS", help="the time after which the run has failed (default: 300 + 1.5 N)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("soak.json"), help="the file for the figures (default: soak.json)"
    )
    parser.add_argument(
        "--logs", type=Path, default=LOGS / "soak", help="the folder for the logs (default: .local/logs/soak)"
    )
    return parser.parse_args(argv)
