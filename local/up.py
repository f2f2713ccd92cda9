"""Run the whole stack until Ctrl-C, and write `curl` commands for it into a file."""

import argparse
import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from local import curl, interrupt
from local.log_analytics import WORKSPACE
from local.process import ProcessError
from local.stack import APIS, HOSTS, LOGS, ROOT, Stack, StackError, StackOptions

APP_PORT, ACS_PORT = 7071, 8080
# Long enough to call an erasure off, short enough to wait for its certificate.
ERASURE_DELAY = {"ERASURE_DELAY_HOURS": "0.01"}


async def up(options: StackOptions) -> int:
    """Run the stack until it is cancelled; return 1 when a part of it doesn't start, or ends."""
    print("Starting Azurite, the emulators of ACS and Entra ID, and the app ...", flush=True)
    try:
        async with Stack(options) as stack:
            print(await asyncio.to_thread(welcome, stack), flush=True)
            await stack.watch()
    except (StackError, ProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def welcome(stack: Stack) -> str:
    """Write the files for trying the stack, and return its addresses and three commands."""
    settings, script = (os.path.relpath(file) for file in (write_settings(stack), write_commands(stack)))
    command = f"{os.path.relpath(sys.executable)} -m recording"
    place = f"--workspace {WORKSPACE} --endpoint {stack.log_analytics_url}"
    addresses = {
        "Page": f"{stack.app_url}/ (sign in as one of five people, by a click)",
        "App": stack.app_url,
        "ACS": f"{stack.acs_url} (emulator)",
        "Entra ID": f"{stack.entra.authority} (stand-in)",
        "Logs": os.path.relpath(stack.logs),
    }
    commands = {
        f"bash -v {script}": "every operation of the app, with its answer",
        f"{command} doctor --settings {settings}": "does everything work?",
        f"{command} reconcile --settings {settings} {place}": "is everything archived?",
    }
    return "\n".join(
        [
            *(f"  {name + ':':9} {address}" for name, address in addresses.items()),
            "Three commands for another terminal:",
            *(f"  # {what}\n  {line}" for line, what in commands.items()),
            f"{settings} has the connection strings. Ctrl-C stops the stack.",
        ]
    )


def write_commands(stack: Stack) -> Path:
    """Write the curl commands beside the folder of logs, to be read, pasted, or run; return their file.

    `env.sh` beside it sets the addresses in a terminal, for the commands of docs/tasks.md.
    """
    file = stack.logs.parent / "curl.sh"
    addresses = (stack.app_url, stack.acs_url, stack.entra.authority)
    file.write_text(curl.text(*addresses))
    settings = os.path.relpath(stack.logs.parent / "settings.json")
    variables = {"SETTINGS": settings, "WORKSPACE": WORKSPACE, "LOGS_ENDPOINT": stack.log_analytics_url}
    (stack.logs.parent / "env.sh").write_text(curl.environment(*addresses, **variables))
    return file


def write_settings(stack: Stack) -> Path:
    """Write the app's settings beside the folder of logs, in the format of local.settings.json."""
    file = stack.logs.parent / "settings.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps({"IsEncrypted": False, "Values": stack.settings()}, indent=2))
    return file


def main(argv: list[str]) -> int:
    """Run the stack until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m local up", description=__doc__)
    parser.add_argument("--host", choices=HOSTS, default="local", help="what runs the app (func: Core Tools)")
    parser.add_argument("--api", choices=APIS, default="today", help="the recording API (default: %(default)s)")
    parser.add_argument("--app-dir", type=Path, default=ROOT, help="the folder of function_app.py (default: this one)")
    parser.add_argument(
        "--port", type=int, help=f"the port of the app; 0 picks a free one (default: {APP_PORT} if it is free)"
    )
    parser.add_argument(
        "--acs-port", type=int, help=f"the port of the emulator; 0 picks a free one (default: {ACS_PORT} if it is free)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="the folder where storage is kept for the next run (default: in memory)",
    )
    parser.add_argument(
        "--logs", type=Path, default=LOGS, help="the folder for the logs, one per process (default: .local/logs)"
    )
    parser.add_argument("--chunk-maximum-bytes", type=int, default=StackOptions.chunk_maximum_bytes)
    parser.add_argument("--archive-schedule", default="*/5 * * * * *", help="NCRONTAB (default: every 5 seconds)")
    parser.add_argument("--auto-record", choices=("off", "all"), default="off")
    parser.add_argument(
        "--versions", action="store_true", help="an archive with versions, soft delete, legal holds and policies"
    )
    parser.add_argument(
        "--no-role", action="store_true", help="with --versions: the app may neither delete versions nor set holds"
    )
    parser.add_argument(
        "--setting", action="append", default=[], metavar="NAME=VALUE", help="an additional app setting"
    )
    arguments = parser.parse_args(argv)
    if wrong := [setting for setting in arguments.setting if "=" not in setting]:
        parser.error(f"--setting needs NAME=VALUE, not {wrong[0]}")
    keeping = {"permanentDelete": True, **({"actions": []} if arguments.no_role else {})}
    options = StackOptions(
        host=arguments.host,
        api=arguments.api,
        app_folder=arguments.app_dir.absolute(),
        app_port=preferred(APP_PORT) if arguments.port is None else arguments.port,
        acs_port=preferred(ACS_PORT) if arguments.acs_port is None else arguments.acs_port,
        data=arguments.data.absolute() if arguments.data else None,
        logs=arguments.logs.absolute(),
        chunk_maximum_bytes=arguments.chunk_maximum_bytes,
        archive_schedule=arguments.archive_schedule,
        auto_record=arguments.auto_record,
        keeping=keeping if arguments.versions else None,
        settings=ERASURE_DELAY | dict(setting.split("=", 1) for setting in arguments.setting),
    )
    return interrupt.run(up(options))


def preferred(port: int) -> int:
    """Return the port if it is free, otherwise 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
        return port
