"""Run a part of the local stack: `python -m local acs|functions|up|demo|trace|soak|lock`."""

import importlib
import sys

# Imported only when asked for: none of them should wait for another's libraries.
COMMANDS = {
    "acs": ("local.acs.server", "the ACS recording emulator alone"),
    "functions": ("local.functions.host", "the Functions host alone"),
    "up": ("local.up", "the whole stack, until Ctrl-C"),
    "demo": ("local.demo", "a recording's way into the archive, told and checked"),
    "trace": ("local.trace", "the traces of recordings in the app's log"),
    "soak": ("local.soak.command", "many recordings through the whole stack while everything goes wrong, then checked"),
    "lock": ("local.lock", "compile the requirements files from pyproject.toml"),
}


def main(argv: list[str]) -> int:
    """Run the subcommand that the first argument names; give its exit status."""
    if not argv or argv[0] not in COMMANDS:
        print("usage: python -m local COMMAND [--help]\n", file=sys.stderr)
        for name, (_, does) in COMMANDS.items():
            print(f"  {name:<10} {does}", file=sys.stderr)
        return 2
    status: int = importlib.import_module(COMMANDS[argv[0]][0]).main(argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
