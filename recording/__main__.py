"""What an operator runs: `python -m recording doctor`, `replay`, `ingest`, `archive`, `verify`, `file`, `reindex` …

Settings come from the environment, as in Azure; those of local.settings.json fill the gaps. With
`--settings FILE` they are that file's alone.
"""

import argparse
import asyncio
import sys
from io import TextIOWrapper

from azure.core.exceptions import AzureError

from recording import __version__
from recording.commands import archive, doctor, export, file, ingest, reconcile, reindex, replay, verify
from recording.errors import RecordingError, describe


def main(argv: list[str]) -> int:
    """Run a command; 0 = success, 1 = it found something wrong, 2 = it could not do its work."""
    for stream in (sys.stdout, sys.stderr):
        # Into a file on Windows a mark such as ✓ has no encoding, and would end the command.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is replay.run and not (arguments.files or arguments.day or arguments.blob):
        parser.error("nothing to replay: give a file, a folder, --day or --blob")
    try:
        status: int = asyncio.run(arguments.command(arguments))
        return status
    except RecordingError as failed:
        print(failed.message, file=sys.stderr)
    except AzureError as failed:
        # Not its message, which may hold a URL.
        print(f"storage could not be read ({describe(failed)})", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recording")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True)
    for command in (doctor, replay, ingest, archive, verify, file, reindex, reconcile, export):
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
