"""`python -m recording verify`: compare what the archive holds with its manifests.

Settings come from the environment, as in Azure; those of local.settings.json fill the gaps.
"""

import argparse
import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from azure.core.exceptions import AzureError

from recording import bootstrap
from recording.errors import Misconfigured, RecordingError
from recording.settings import read
from recording.verify import Verified, verify_all


def main(argv: list[str]) -> int:
    """Run a command; 0 = all is well, 1 = something is not, 2 = it could not be looked at."""
    parser = argparse.ArgumentParser(prog="python -m recording")
    commands = parser.add_subparsers(required=True)
    verify = commands.add_parser("verify", help="re-read archived recordings and compare them with their manifests")
    verify.add_argument("--from", dest="since", type=_time, help="recordings that started at or after (ISO 8601)")
    verify.add_argument("--to", dest="until", type=_time, help="recordings that started before (ISO 8601)")
    verify.add_argument("--at-once", type=_count, default=2, help="recordings read at a time")
    arguments = parser.parse_args(argv)
    try:
        return asyncio.run(_verify(arguments.since, arguments.until, arguments.at_once))
    except RecordingError as failed:
        print(failed.message, file=sys.stderr)
    except AzureError as failed:
        # Not its message, which may hold a URL.
        print(f"storage could not be read ({type(failed).__name__})", file=sys.stderr)
    return 2


async def _verify(since: datetime | None, until: datetime | None, at_once: int) -> int:
    app = bootstrap.connect(read(_environment()))
    bad = count = size = 0
    try:
        async for result in verify_all(app.storage, since=since, until=until, at_once=at_once):
            count, size = count + 1, size + sum(chunk.bytes for chunk in result.chunks)
            bad += not result.ok
            _show(result)
    finally:
        await app.aclose()
    print(f"{count} recordings, {size:,} bytes read again, {bad} not as their manifest says")
    return 1 if bad else 0


def _show(result: Verified) -> None:
    verdict = "ok" if result.ok else "DAMAGED"
    whole = "" if result.complete else " (incomplete: its manifest says what is lost)"
    print(f"{verdict:8} {result.recording_key}  {len(result.chunks)} chunks{whole}", flush=True)
    for problem in [*result.problems, *(problem for chunk in result.chunks for problem in chunk.problems)]:
        print(f"         {problem}", flush=True)


def _environment() -> dict[str, str]:
    file = Path("local.settings.json")
    try:
        values = json.loads(file.read_text())["Values"] if file.exists() else {}
    except (ValueError, LookupError, TypeError):
        raise Misconfigured("local.settings.json cannot be read: it should have its settings under Values") from None
    return {**values, **os.environ}


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return count


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
