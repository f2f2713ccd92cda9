"""`python -m recording replay`: take quarantined or dead-lettered events in again."""

import argparse
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date
from pathlib import Path

from recording.app import App, assemble, connect
from recording.config.settings import read_from
from recording.intake import replay
from recording.intake.replay import EventFile, Target
from recording.storage.blobs import Blobs


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    again = commands.add_parser("replay", help="take quarantined or dead-lettered events in again")
    again.add_argument("files", type=Path, nargs="*", metavar="FILE|FOLDER", help="events, as JSON")
    again.add_argument("--day", type=_day, help="what was quarantined, or dead-lettered, on a day (UTC, YYYY-MM-DD)")
    again.add_argument("--blob", metavar="NAME", help="a blob of the quarantine, or of the dead-letter container")
    again.add_argument("--dead-letter-container", metavar="NAME", help="in the account of the quarantine")
    again.add_argument("--dry-run", action="store_true", help="change nothing, only say what would come of it")
    again.set_defaults(command=run)
    again.add_argument("--settings", type=Path, metavar="FILE", help="settings of this file alone")


async def run(arguments: argparse.Namespace) -> int:
    """Take events in again; 1 if one was not taken."""
    settings = read_from(arguments.settings)
    app = assemble(settings, connect(settings))
    into = Target(app.intake, app.clients.chunk_queue, dry=arguments.dry_run)
    count = bad = 0
    try:
        if not into.dry:
            await app.clients.prepare()
        async with aclosing(_found(arguments, app)) as all_found:
            async for found in all_found:
                for one in await replay.replay(found, into):
                    count, bad = count + 1, bad + (not one.ok)
                    print(_plain(f"{one.outcome:14} {one.source}  {one.detail}"), flush=True)
    finally:
        await app.aclose()
    print(f"{count} events, {bad} not taken{' (dry run: nothing was changed)' if into.dry else ''}")
    return 1 if bad else 0


def _plain(text: str) -> str:
    """Show what would move a terminal's cursor as �: an event's words come from outside."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


async def _found(arguments: argparse.Namespace, app: App) -> AsyncGenerator[EventFile]:
    for one in replay.read_files(arguments.files):
        yield one
    letters = app.clients.blobs
    if arguments.dead_letter_container:
        # It lies beside the quarantine, and is read as that.
        letters = Blobs(
            app.settings.model_copy(update={"quarantine_container": arguments.dead_letter_container}),
            app.clients.credential,
        )
    try:
        if arguments.blob:
            yield await replay.read_blob(letters, arguments.blob)
        if arguments.day:
            async for one in replay.quarantined_on(app.clients.blobs, arguments.day):
                yield one
            if letters is not app.clients.blobs:
                async for one in replay.dead_lettered_on(letters, arguments.day):
                    yield one
    finally:
        if letters is not app.clients.blobs:
            await letters.aclose()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a day, such as 2026-03-01") from None
