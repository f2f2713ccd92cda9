"""`python -m recording export`: write what there is about a person into a folder."""

import argparse
import asyncio
from datetime import timedelta
from pathlib import Path

from recording.app import App
from recording.commands.arguments import add_settings, opened
from recording.model import export_page
from recording.model.caller import Caller
from recording.model.export import ExportAsked, ExportedRecording, Found
from recording.people.collect import Source

_COMMAND = "0" * 32


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    person = commands.add_parser("export", help="write what there is about a person into a folder")
    person.add_argument("participant", help="a raw id, or a phone number")
    person.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="a folder, which is made if it is missing"
    )
    person.add_argument("--reason", required=True, help="why: it stands in the trail")
    person.add_argument("--files", action="store_true", help="fetch the media as well")
    person.add_argument("--show-others", action="store_true", help="name others, if EXPORT_OTHERS allows it")
    person.set_defaults(command=run)
    add_settings(person)


async def run(arguments: argparse.Namespace) -> int:
    """Write the page, the data and, if wanted, the media; 1 if a manifest or a file could not be read."""
    async with opened(arguments) as app:
        if arguments.show_others and app.settings.export_others == "masked":
            print("others are masked in all exports (EXPORT_OTHERS=masked)")
            return 2
        return await _export(app, arguments)


async def _export(app: App, arguments: argparse.Namespace) -> int:
    person, folder, now = arguments.participant, arguments.to, app.timer.clock()
    others = "shown" if arguments.show_others else "masked"
    digest = (await app.clients.index.digests()).participant(person)
    details = {"participant": digest, "files": "copies" if arguments.files else "links", "others": others}
    await app.trail.write(Caller(origin="command"), action="export", reason=arguments.reason, details={**details})
    asked = ExportAsked(
        export_id=_COMMAND,
        participant=person,
        reason=arguments.reason,
        files="copies" if arguments.files else "links",
        others="shown" if arguments.show_others else "masked",
        at=now,
        expires_at=now + timedelta(days=app.settings.export_days),
    )
    found = await _find(app, person)
    missing: list[str] = []
    parts: list[ExportedRecording] = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, key in enumerate(found.keys, 1):
        source = await app.exports.collector.source(key)
        parts.append(await app.exports.collector.recording(asked, key, source, now))
        if source and arguments.files:
            missing += await _fetch(app, source, folder / "files" / key)
        print(f"{number}/{len(found.keys)}  {key}", flush=True)
    about = await app.exports.collector.about(asked)
    await asyncio.to_thread((folder / "export.json").write_bytes, export_page.write_data(asked, found, parts, about))
    # Last: it says that the folder is complete.
    await asyncio.to_thread((folder / "index.html").write_bytes, export_page.render(asked, found, parts, about))
    for one in (*found.unreadable, *missing):
        print(f"could not be read: {one}")
    print(f"{len(parts)} recordings in {folder}; delete it when the person has it")
    return 1 if found.unreadable or missing else 0


async def _find(app: App, person: str) -> Found:
    keys, unreadable = set(await app.exports.finder.in_flight(person)), set[str]()
    async for progress in app.exports.finder.archived(person):
        keys |= set(progress.found)
        unreadable |= set(progress.unreadable)
        print(f"looked through up to {progress.last_key}, {len(keys)} found", flush=True)
    return Found(keys=tuple(sorted(keys)), unreadable=tuple(sorted(unreadable)))


async def _fetch(app: App, source: Source, folder: Path) -> list[str]:
    """Fetch the media of a recording, and return the names of blobs that are not there."""
    missing = []
    folder.mkdir(parents=True, exist_ok=True)
    for entry in source.manifest.chunks:
        if entry.content is None:
            continue
        blob = await app.clients.blobs.stat(source.where, entry.content.blob)
        if blob is None:
            missing.append(entry.content.blob)
            continue
        path = folder / entry.file_name(source.manifest.recording_key)
        with path.open("wb") as file:
            async for piece in app.clients.blobs.read_ranges(source.where, blob, prefetch=4):
                await asyncio.to_thread(file.write, piece)
    return missing
