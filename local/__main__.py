"""Run a part of the local stack: `python -m local acs|entra|functions|up|demo|trace|soak|lock`."""

import importlib
import sys

# A command is imported only when it is run, so that none waits for the libraries of another.
COMMANDS = {
    "acs": ("local.acs.server", "run the ACS recording emulator alone"),
    "entra": ("local.entra.server", "run the stand-in for Entra ID alone"),
    "functions": ("local.functions.host", "run the Functions host alone"),
    "up": ("local.up", "run the whole stack until Ctrl-C"),
    "demo": ("local.demo", "record a call, archive the recording and check it"),
    "trace": ("local.trace", "show the traces of recordings in the app's log"),
    "soak": (
        "local.soak.command",
        "send many recordings through the stack with faults and kills, then check the archive",
    ),
    "lock": ("local.lock", "compile the requirements files from pyproject.toml"),
}


def main(argv: list[str]) -> int:
    """Run the subcommand that the first argument names and return its exit status."""
    if not argv or argv[0] not in COMMANDS:
        print("usage: python -m local COMMAND [--help]\n", file=sys.stderr)
        for name, (_, does) in COMMANDS.items():
            print(f"  {name:<10} {does}", file=sys.stderr)
        return 2
    status: int = importlib.import_module(COMMANDS[argv[0]][0]).main(argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
