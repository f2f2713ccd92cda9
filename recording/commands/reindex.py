"""`python -m recording reindex`: make the search index again from what is in the archive."""

import argparse
import time

from recording.commands.arguments import add_settings, opened, utc_time
from recording.model import layout


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    again = commands.add_parser("reindex", help="make the search index again from what is in the archive")
    again.add_argument("--from", dest="since", type=utc_time, help="what started or was done at or after (ISO 8601)")
    again.add_argument("--to", dest="until", type=utc_time, help="what started or was done before (ISO 8601)")
    again.add_argument("--compare", action="store_true", help="write nothing: list the recordings whose rows differ")
    again.set_defaults(command=run)
    add_settings(again)


async def run(arguments: argparse.Namespace) -> int:
    """Write the rows of recordings and of the trail; 1 if a manifest could not be read, or a row differs."""
    if arguments.compare:
        return await _compare(arguments)
    begun, written, unreadable = time.monotonic(), 0, 0
    async with opened(arguments) as app:
        if done := await app.reindex.interrupted(arguments.since, arguments.until):
            print(f"continuing an interrupted run after {done}", flush=True)
        async for progress in app.reindex.run(arguments.since, arguments.until):
            written, unreadable = progress.written, progress.unreadable
            seconds = time.monotonic() - begun
            day = layout.recording_start(progress.last_key)
            print(f"{written} recordings, up to {day:%Y-%m-%d %H:%M} UTC, {written / seconds:.0f}/s", flush=True)
        async for date, count in app.trail_rows.rebuild(arguments.since, arguments.until):
            print(f"trail of {date}: {count} facts", flush=True)
        in_flight = await app.recordings.in_flight()
        loaded = [await app.recordings.load(key, blobs) for key, blobs in in_flight.items()]
        await app.timer.indexing.run(loaded, app.timer.clock(), in_flight=in_flight)
    bad = f", {unreadable} manifests could not be read" if unreadable else ""
    print(f"{written} archived recordings and {len(loaded)} in flight in {time.monotonic() - begun:.1f} s{bad}")
    return 1 if unreadable else 0


async def _compare(arguments: argparse.Namespace) -> int:
    compared: set[str] = set()
    different: set[str] = set()
    async with opened(arguments) as app:
        async for found in app.reindex.compare(arguments.since, arguments.until):
            wrong = {key: kinds for key, kinds in found.items() if kinds}
            compared |= found.keys()
            different |= wrong.keys()
            for key, kinds in sorted(wrong.items()):
                print(f"{key}: {', '.join(kinds)}", flush=True)
    print(f"{len(compared)} recordings compared with their rows, {len(different)} differ")
    return 1 if different else 0
