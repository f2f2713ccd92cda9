"""What several commands have: options, and the app with the settings that they name."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from recording.app import App, assemble, connect
from recording.config.settings import read_from


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--settings FILE`: settings from that file only, instead of the environment."""
    parser.add_argument("--settings", type=Path, metavar="FILE", help="use the settings of this file only")


@asynccontextmanager
async def opened(arguments: argparse.Namespace) -> AsyncIterator[App]:
    """Wire the app with the settings that the command names, and close it afterwards."""
    settings = read_from(arguments.settings)
    app = assemble(settings, connect(settings))
    try:
        yield app
    finally:
        await app.aclose()


def utc_time(text: str) -> datetime:
    """Parse a time in ISO 8601, UTC unless it says otherwise; raises ArgumentTypeError, which argparse prints."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a time in ISO 8601, such as 2026-03-01T10:00:00Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
