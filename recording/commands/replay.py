"""`python -m recording replay`: accept quarantined or dead-lettered events again."""

import argparse
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from datetime import date
from pathlib import Path

from recording.app import App
from recording.clock import utc_now
from recording.commands.arguments import add_settings, opened
from recording.intake import replay
from recording.intake.replay import EventFile
from recording.model.caller import Caller
from recording.model.trail import TrailEntry
from recording.storage.blobs import Blobs


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    again = commands.add_parser("replay", help="accept quarantined or dead-lettered events again")
    again.add_argument("files", type=Path, nargs="*", metavar="FILE|FOLDER", help="events, as JSON")
    again.add_argument("--day", type=_day, help="what was quarantined, or dead-lettered, on a day (UTC, YYYY-MM-DD)")
    again.add_argument("--blob", metavar="NAME", help="a blob of the quarantine, or of the dead-letter container")
    again.add_argument("--dead-letter-container", metavar="NAME", help="in the account of the quarantine")
    again.add_argument("--dry-run", action="store_true", help="change nothing, only print what would happen")
    again.set_defaults(command=run)
    add_settings(again)


async def run(arguments: argparse.Namespace) -> int:
    """Accept events again; return 1 if one was not accepted."""
    count = bad = 0
    async with opened(arguments) as app:
        if not arguments.dry_run:
            await app.clients.prepare()
        async with _on_record(arguments, app) as entry, aclosing(_found(arguments, app)) as all_found:
            async for found in all_found:
                for one in await app.replay.run(found, dry_run=arguments.dry_run):
                    count, bad = count + 1, bad + (not one.ok)
                    print(_plain(f"{one.outcome:18} {one.source}  {one.detail}"), flush=True)
            entry.details = {"events": count, "notAccepted": bad}
    dry = " (dry run: nothing was changed)" if arguments.dry_run else ""
    print((f"{bad} of {count} events were not accepted" if bad else f"{_all(count)} accepted") + dry)
    return 1 if bad else 0


def _all(count: int) -> str:
    return {0: "There was no event to be", 1: "The event was"}.get(count, f"All {count} events were")


def _on_record(arguments: argparse.Namespace, app: App) -> AbstractAsyncContextManager[TrailEntry]:
    entry = TrailEntry.of(Caller(origin="command"), "replay", utc_now())
    return nullcontext(entry) if arguments.dry_run else app.trail.record(entry)


def _plain(text: str) -> str:
    """Replace control characters by �: an event's text comes from outside, and could move the terminal's cursor."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


async def _found(arguments: argparse.Namespace, app: App) -> AsyncGenerator[EventFile]:
    for one in replay.read_files(arguments.files):
        yield one
    dead_letters = app.clients.blobs
    if arguments.dead_letter_container:
        # It is in the account of the quarantine, and is read as the quarantine container.
        dead_letters = Blobs(
            app.settings.model_copy(update={"quarantine_container": arguments.dead_letter_container}),
            app.clients.credential,
        )
    try:
        if arguments.blob:
            is_quarantined = dead_letters is app.clients.blobs
            yield await replay.read_blob(dead_letters, arguments.blob, is_quarantined=is_quarantined)
        if arguments.day:
            async for one in replay.quarantined_on(app.clients.blobs, arguments.day):
                yield one
            if dead_letters is not app.clients.blobs:
                async for one in replay.dead_lettered_on(dead_letters, arguments.day):
                    yield one
    finally:
        if dead_letters is not app.clients.blobs:
            await dead_letters.aclose()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a day, such as 2026-03-01") from None
