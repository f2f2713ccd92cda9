"""Tests of the movable clock."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from local.acs.clock import Clock, timestamp


def test_timestamp() -> None:
    """A moment has seven fractional digits and Z."""
    assert timestamp(datetime(2021, 5, 5, 20, 8, 39, 15796, tzinfo=UTC)) == "2021-05-05T20:08:39.0157966Z"


def test_advance() -> None:
    """Advancing moves the time."""
    clock = Clock()
    clock.advance(7200)
    ahead = clock.now() - datetime.now(UTC)

    assert ahead.total_seconds() == pytest.approx(7200, abs=1)


async def test_sleepers_wake() -> None:
    """Who sleeps until a far moment wakes when the clock is pushed there, and not before."""
    clock = Clock()
    sleeper = asyncio.create_task(clock.sleep_until(clock.now() + timedelta(hours=2)))
    await asyncio.sleep(0.01)
    clock.advance(3600)
    await asyncio.sleep(0.01)
    early = sleeper.done()
    clock.advance(3600)
    async with asyncio.timeout(2):
        await sleeper

    assert not early


async def test_sleep_ends_by_itself() -> None:
    """A sleep also ends by waiting."""
    clock = Clock()
    async with asyncio.timeout(2):
        await clock.sleep_until(clock.now() + timedelta(seconds=0.05))
