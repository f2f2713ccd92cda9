"""A progress bar: one line that grows in a terminal; in a file a line for each tenth."""

import sys
from typing import TextIO

_WIDTH = 30
_TENTHS = 10


class Bar:
    """Shows how many bytes of how many are done; `title` says of what."""

    def __init__(self, title: str, *, out: TextIO | None = None) -> None:
        self._title = title
        self._out = out or sys.stdout
        self._shown = -1

    def show(self, done: int, total: int) -> None:
        """Show that so many bytes are done."""
        share = min(done / total, 1.0) if total else 1.0
        if self._out.isatty():
            filled = round(share * _WIDTH)
            bar = "#" * filled + "." * (_WIDTH - filled)
            self._out.write(f"\r{self._title}  [{bar}] {share:4.0%}  {done:,} of {total:,} bytes")
        elif int(share * _TENTHS) > self._shown:
            self._shown = int(share * _TENTHS)
            self._out.write(f"{self._title}  {share:4.0%}  {done:,} of {total:,} bytes\n")
        self._out.flush()

    def end(self) -> None:
        """End the line."""
        if self._out.isatty():
            self._out.write("\n")
