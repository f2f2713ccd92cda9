"""The emulator's clock: real time plus an offset that tests increase."""

import asyncio
from datetime import UTC, datetime, timedelta


def timestamp(moment: datetime) -> str:
    """Render a moment as the service does: 7 fractional digits and ``Z`` (docs/acs-contract.md#2021-callbacks).

    The seventh digit repeats the sixth instead of being 0, so that a reader that can't parse 100-nanosecond ticks fails
    here and not in production.
    """
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S.%f}{utc.microsecond % 10}Z"


class Clock:
    """The emulator's time, which can be moved forward."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """Return the emulator's current time in UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake all tasks that sleep on it."""
        self._offset += timedelta(seconds=seconds)
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep_until(self, moment: datetime) -> None:
        """Return when the emulator's time has reached ``moment``, by waiting or by ``advance``."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            moved = self._moved
            try:
                # The limit bounds each wait, whatever the moment.
                await asyncio.wait_for(moved.wait(), timeout=min(left, 60.0))
            except TimeoutError:
                continue
