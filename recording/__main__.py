"""`python -m recording verify`, `doctor`, `replay` and `reconcile`: what an operator runs beside the app.

Settings come from the environment, as in Azure; those of local.settings.json fill the gaps. With
`--settings FILE` they are that file's alone.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from secrets import token_hex
from typing import Any

from azure.core.exceptions import AzureError
from azure.identity.aio import DefaultAzureCredential

from recording import address, bootstrap, reconcile, replay, verify
from recording.bootstrap import App
from recording.doctor import examination, finding, subscription
from recording.doctor.finding import Finding
from recording.doctor.stores import Queues
from recording.errors import Misconfigured, RecordingError
from recording.replay import Found, Intake
from recording.settings import Settings, read
from recording.storage import Storage
from recording.verify import Verified


def main(argv: list[str]) -> int:
    """Run a command; 0 = all is well, 1 = something is not, 2 = it could not be looked at."""
    for stream in (sys.stdout, sys.stderr):
        # Into a file on Windows a mark such as ✓ has no encoding, and would end the command.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is _replay and not (arguments.files or arguments.day or arguments.blob):
        parser.error("replay what? a file, a folder, --day or --blob")
    try:
        status: int = asyncio.run(arguments.command(arguments))
        return status
    except RecordingError as failed:
        print(failed.message, file=sys.stderr)
    except AzureError as failed:
        # Not its message, which may hold a URL.
        print(f"storage could not be read ({type(failed).__name__})", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recording")
    commands = parser.add_subparsers(required=True)

    reread = commands.add_parser("verify", help="re-read archived recordings and compare them with their manifests")
    reread.add_argument("--from", dest="since", type=_time, help="recordings that started at or after (ISO 8601)")
    reread.add_argument("--to", dest="until", type=_time, help="recordings that started before (ISO 8601)")
    reread.add_argument("--at-once", type=_count, default=2, help="recordings read at a time")
    reread.set_defaults(command=_verify)

    examine = commands.add_parser("doctor", help="try everything that a deployment needs, and say how to mend it")
    examine.add_argument("--topic", type=_topic, help="resource id of the Event Grid system topic, to look at it, too")
    examine.set_defaults(command=_doctor)

    again = commands.add_parser("replay", help="take quarantined or dead-lettered events in again")
    again.add_argument("files", type=Path, nargs="*", metavar="FILE|FOLDER", help="events, as JSON")
    again.add_argument("--day", type=_day, help="what was quarantined, or dead-lettered, on a day (UTC, YYYY-MM-DD)")
    again.add_argument("--blob", metavar="NAME", help="a blob of the quarantine, or of the dead-letter container")
    again.add_argument("--dead-letter-container", metavar="NAME", help="in the account of the quarantine")
    again.add_argument("--dry-run", action="store_true", help="change nothing, only say what would come of it")
    again.set_defaults(command=_replay)

    compare = commands.add_parser("reconcile", help="compare what ACS reports that it recorded with what was archived")
    compare.add_argument("--workspace", required=True, metavar="ID", help="of Log Analytics (LOG_WORKSPACE_ID)")
    compare.add_argument(
        "--from", dest="since", type=_time, help="reported at or after (ISO 8601; default: a week ago)"
    )
    compare.add_argument("--to", dest="until", type=_time, help="reported before (ISO 8601; default: now)")
    compare.add_argument(
        "--endpoint", type=_https, default=reconcile.ENDPOINT, help="of Log Analytics, in another cloud"
    )
    compare.set_defaults(command=_reconcile)

    for command in (reread, examine, again, compare):
        command.add_argument("--settings", type=Path, metavar="FILE", help="settings of this file alone")
    return parser


async def _verify(arguments: argparse.Namespace) -> int:
    app = bootstrap.connect(_settings(arguments.settings))
    bad = count = size = 0
    try:
        keys = [key async for key in verify.keys(app.storage, since=arguments.since, until=arguments.until)]
        print(f"{len(keys)} recordings in the archive", flush=True)
        async for result in verify.verify_all(keys, app.storage, at_once=arguments.at_once):
            count, size = count + 1, size + sum(chunk.bytes for chunk in result.chunks)
            bad += not result.ok
            print(f"{count}/{len(keys)}  {_told(result)}", flush=True)
    finally:
        await app.aclose()
    print(f"{count} recordings, {size:,} bytes read again, {bad} not as their manifest says")
    return 1 if bad else 0


def _told(result: Verified) -> str:
    verdict = "ok" if result.ok else "DAMAGED"
    whole = "" if result.complete else " (incomplete: its manifest says what is lost)"
    problems = [*result.problems, *(problem for chunk in result.chunks for problem in chunk.problems)]
    first = f"{verdict:8} {result.recording_key}  {len(result.chunks)} chunks{whole}"
    return "\n         ".join([first, *problems])


async def _doctor(arguments: argparse.Namespace) -> int:
    # A finding says what a person can do about it: what the libraries log of the same has no place in the table.
    logging.disable(logging.CRITICAL)
    try:
        found = await _examine(arguments)
    finally:
        logging.disable(logging.NOTSET)
    print(finding.table(found))
    return 0 if finding.is_well(found) else 1


async def _examine(arguments: argparse.Namespace) -> list[Finding]:
    try:
        settings = _settings(arguments.settings)
        app = bootstrap.connect(settings)
    except Misconfigured as wrong:
        return examination.unreadable(wrong)
    scratch = bootstrap.queue(settings, f"recording-doctor-{token_hex(4)}", app.credential)
    queues = Queues((app.queue, app.poison), (app.events, app.poisoned_events), scratch)
    try:
        found, of_events = await asyncio.gather(
            examination.examine(settings, storage=app.storage, service=app.service, queues=queues),
            _subscription(arguments.topic, settings),
        )
    finally:
        await scratch.close()
        await app.aclose()
    return [*found, *of_events]


async def _subscription(topic: str | None, settings: Settings) -> list[Finding]:
    if topic is None:
        return subscription.not_looked_at("no --topic is given")
    async with DefaultAzureCredential() as credential:
        return await subscription.check(topic, credential, retention=settings.retention)


async def _replay(arguments: argparse.Namespace) -> int:
    app = bootstrap.connect(_settings(arguments.settings))
    into = Intake(app.storage, app.queue, app.service, app.notices, app.settings, dry=arguments.dry_run)
    count = bad = 0
    try:
        if not into.dry:
            await app.prepare()
        async with aclosing(_found(arguments, app)) as all_found:
            async for found in all_found:
                for one in await replay.replay(found, into):
                    count, bad = count + 1, bad + (not one.ok)
                    print(_plain(f"{one.outcome:14} {one.source}  {one.detail}"), flush=True)
    finally:
        await app.aclose()
    print(f"{count} events, {bad} not taken{' (dry run: nothing was changed)' if into.dry else ''}")
    return 1 if bad else 0


async def _reconcile(arguments: argparse.Namespace) -> int:
    settings, now = _settings(arguments.settings), datetime.now(UTC)
    until = min(arguments.until or now, now)
    async with DefaultAzureCredential() as credential:
        workspace = reconcile.Workspace(arguments.workspace, credential, endpoint=arguments.endpoint)
        try:
            found = await reconcile.run(
                workspace,
                begin=arguments.since or until - timedelta(days=7),
                end=until,
                now=now,
                retention=settings.retention,
                margin=settings.risk_margin,
            )
        finally:
            await workspace.aclose()
    if text := reconcile.table(found, now=now):
        print("\n".join(_plain(line) for line in text.splitlines()))
    bad, early = (sum(one.state in states for one in found) for states in (("missing", "incomplete"), ("not due",)))
    print(f"{len(found)} recordings at ACS, {bad} not archived or not all of it, {early} not archived yet and not due")
    return 1 if bad else 0


def _plain(text: str) -> str:
    """Show what would move a terminal's cursor as �: an event's words come from outside."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


async def _found(arguments: argparse.Namespace, app: App) -> AsyncGenerator[Found]:
    for one in replay.files(arguments.files):
        yield one
    letters = app.storage
    if arguments.dead_letter_container:
        # It lies beside the quarantine, and is read as that.
        letters = Storage(
            app.settings.model_copy(update={"quarantine_container": arguments.dead_letter_container}), app.credential
        )
    try:
        if arguments.blob:
            yield await replay.blob(letters, arguments.blob)
        if arguments.day:
            async for one in replay.quarantined_on(app.storage, arguments.day):
                yield one
            if letters is not app.storage:
                async for one in replay.dead_lettered_on(letters, arguments.day):
                    yield one
    finally:
        if letters is not app.storage:
            await letters.aclose()


def _settings(file: Path | None) -> Settings:
    """Read the settings of a file, or of the environment."""
    return read(_values(file) if file else {**_values(Path("local.settings.json")), **os.environ})


def _values(file: Path) -> dict[str, str]:
    """Read the settings under Values, or the list that `az functionapp config appsettings list` prints."""
    wrong = Misconfigured(f"{file} cannot be read: it should have its settings under Values")
    try:
        if file.name == "local.settings.json" and not file.exists():
            return {}
        # Bytes, of which json tells the encoding: PowerShell writes UTF-16, or a byte order mark.
        body: Any = json.loads(file.read_bytes())
        values = {one["name"]: one["value"] for one in body} if isinstance(body, list) else body["Values"]
        return {str(name): str(value) for name, value in values.items() if value is not None}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise wrong from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return int(text)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a time in ISO 8601, such as 2026-03-01T10:00:00Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a day, such as 2026-03-01") from None


def _https(text: str) -> str:
    try:
        return address.check(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _topic(text: str) -> str:
    if not subscription.is_topic(text):
        raise argparse.ArgumentTypeError(
            "/subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.EventGrid/systemTopics/<name>"
        )
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
