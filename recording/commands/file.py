"""`python -m recording file KEY --to DIR`: make one file of a recording's chunks, and download it."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from recording import crc64
from recording.commands.arguments import add_settings, opened
from recording.commands.progress import Bar
from recording.errors import NotJoinable
from recording.joining.fact import JoinedPart
from recording.model.caller import Caller
from recording.storage.blobs import CopyDiffers, CopyFailed


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    whole = commands.add_parser("file", help="make one playable file of a recording's chunks, and download it")
    whole.add_argument("key", metavar="KEY", help="the recording key")
    whole.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="the folder for the file; default: here")
    whole.add_argument("--reason", help="why, for the trail")
    whole.set_defaults(command=run)
    add_settings(whole)


async def run(arguments: argparse.Namespace) -> int:
    """Make the file where it isn't there yet, and download it; 1 if it can't be made, or other bytes came."""
    key, caller = arguments.key, Caller(origin="command")
    try:
        async with opened(arguments) as app:
            making = Bar("making")
            parts = await app.joining.make(key, making.show)
            making.end()
            arguments.to.mkdir(parents=True, exist_ok=True)
            same = [
                await _save(key, part, content, arguments.to)
                for part, content in await app.joining.download(caller, key, parts, reason=arguments.reason)
            ]
    except NotJoinable as refused:
        print(refused.message)
        for one in refused.details:
            print(f"  {one['code']}: {one['message']}")
        return 1
    except CopyDiffers as differs:
        print(f"{differs}; run python -m recording verify {key}")
        return 1
    except CopyFailed as failed:
        print(f"{failed}")
        return 1
    return 0 if all(same) else 1


async def _save(key: str, part: JoinedPart, content: AsyncIterator[bytes], folder: Path) -> bool:
    """Write a file, which has its name only when it is complete; return whether its bytes are those that were made."""
    target = folder / part.file_name
    unfinished = target.with_name(f"{target.name}.part")
    done, crc, bar = 0, 0, Bar(f"{target}")
    with unfinished.open("wb") as file:
        async for piece in content:
            await asyncio.to_thread(file.write, piece)
            crc, done = crc64.crc64(piece, crc), done + len(piece)
            bar.show(done, part.bytes)
    bar.end()
    if done != part.bytes or part.crc64 not in (None, crc64.to_hex(crc)):
        print(f"{unfinished}: its bytes are not those that were made. Run the command again. If it fails again, run")
        print(f"  python -m recording verify --joined {key}")
        return False
    unfinished.replace(target)
    for one in part.missing:
        print(f"  {one.why}")
    return True
