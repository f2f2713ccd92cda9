"""`python -m recording ingest`: bring the chunks of one recording into staging, now and on this machine.

For a chunk that is at risk while the app makes no progress. It continues from the blocks that are staged, and may run
beside the app: the first to finish commits the chunk.
"""

import argparse
from pathlib import Path

from azure.core.exceptions import AzureError

from recording.app import App
from recording.archive.review import load_due
from recording.commands.arguments import add_settings, opened
from recording.errors import ChunkError, ManifestUnreadable, NotFound, describe
from recording.intake.replay import read_files
from recording.model import layout
from recording.model.recording import InFlightChunk


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    by_hand = commands.add_parser("ingest", help="fetch the chunks of a recording that aren't safe, on this machine")
    what = by_hand.add_mutually_exclusive_group(required=True)
    what.add_argument("key", nargs="?", metavar="KEY", help="the recording's key, if its event is in staging")
    what.add_argument("--event", type=Path, metavar="FILE", help="its file event, as JSON, which is accepted first")
    by_hand.add_argument("--index", type=int, action="append", metavar="N", help="only this chunk; can be repeated")
    add_settings(by_hand)
    by_hand.set_defaults(command=run)


async def run(arguments: argparse.Namespace) -> int:
    """Ingest one chunk after the other, the least time left first; 1 if one of them isn't safe afterwards.

    Raises RecordingError for a malformed key, or a recording, event or index that doesn't exist.
    """
    async with opened(arguments) as app:
        if arguments.event:
            keys = await _accept(app, arguments.event)
        else:
            layout.check_key(arguments.key)
            keys = [arguments.key]
        failed = 0
        for key in keys:
            chunks = await _chunks(app, key, arguments.index)
            for chunk in sorted(chunks, key=lambda one: (one.deadline, one.announced.index)):
                said = await _ingest(app, chunk)
                failed += said is not None
                print(f"chunk {chunk.announced.index} ({chunk.document_id}): {said or 'in staging, and proved'}")
    return 1 if failed else 0


async def _accept(app: App, file: Path) -> list[str]:
    """Accept the events of a file, and return the keys of the recordings that they announce."""
    found = [result for one in read_files([file]) for result in await app.replay.run(one)]
    if keys := list(dict.fromkeys(one.recording_key for one in found if one.recording_key)):
        return keys
    raise NotFound(f"{file} announces no recording: {'; '.join(one.detail for one in found)}", target="event")


async def _chunks(app: App, key: str, indexes: list[int] | None) -> list[InFlightChunk]:
    """Return the chunks that are to be ingested; those that are safe are left out.

    Raises NotFound if the recording isn't in flight, or has no such chunk.
    """
    blobs = await app.recordings.staged(key)
    try:
        whole = (await load_due(app.recordings, key, blobs)).pending
    except (AzureError, TimeoutError, ManifestUnreadable):
        # The archive doesn't answer as it should, and nothing of it is needed for fetching.
        whole = await app.recordings.load(key, blobs)
    if not whole.chunks:
        raise NotFound(f"nothing of {key} is in flight: give its event with --event", target="recordingKey")
    known = {chunk.announced.index for chunk in whole.chunks}
    if missing := sorted(set(indexes or []) - known):
        raise NotFound(f"{key} has no chunk {missing[0]} in flight, but {_some(known)}", target="index")
    wanted = [chunk for chunk in whole.chunks if indexes is None or chunk.announced.index in indexes]
    for chunk in wanted:
        if chunk.is_staged:
            print(f"chunk {chunk.announced.index} ({chunk.document_id}): is safe already")
    return [chunk for chunk in wanted if not chunk.is_staged]


def _some(indexes: set[int]) -> str:
    shown = [str(index) for index in sorted(indexes)]
    return ", ".join(shown[:5]) + (f" … {shown[-1]}" if len(shown) > 5 else "")


async def _ingest(app: App, chunk: InFlightChunk) -> str | None:
    """Try each address that was announced for the chunk; return why all of them failed, None if one succeeded."""
    failures: list[str] = []
    # Not `jobs`: those end if another attempt is at work, which is what is not waited for here.
    for job in (chunk.job, *(job for job in chunk.jobs if chunk.addresses and job != chunk.job)):
        try:
            await app.ingest.run(job)
        except ChunkError as failed:
            failures.append(f"{failed.code}: {failed.message}")
        except AzureError as failed:
            failures.append(describe(failed))
        else:
            return None
    return "; ".join(dict.fromkeys(failures))
