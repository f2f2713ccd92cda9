"""recording/doctor/reach.py: does a host answer, and what time is it there?"""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from recording.doctor import reach
from recording.doctor.reach import NotReached
from tests.support.source import serve


async def look(ahead: timedelta | None) -> tuple[str, str, str | None]:
    """Probe a host whose clock is that far ahead; None: its answer has no time."""

    async def answer(request: web.Request) -> web.StreamResponse:
        there = "never" if ahead is None else format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        return web.Response(status=404, headers={"Date": there})

    async with serve(answer) as address:
        found = await reach.probe("host", address, "fix it")
    return found.mark, found.detail.partition(" ")[2], found.fix


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(seconds=90), timedelta(seconds=-90)])
async def test_clocks_that_agree_are_good(ahead: timedelta) -> None:
    """Any status is an answer; a minute and a half is nothing."""
    assert ("ok", "answers, the clocks agree", None) == await look(ahead)


@pytest.mark.parametrize(
    ("ahead", "mark", "told"),
    [
        (timedelta(minutes=5), "warn", "5 minutes behind"),
        (timedelta(minutes=-9), "warn", "9 minutes ahead of"),
        (timedelta(minutes=30), "fail", "30 minutes behind"),
        (timedelta(hours=-10), "fail", "600 minutes ahead of"),
    ],
)
async def test_a_clock_that_is_off_is_told(ahead: timedelta, mark: str, told: str) -> None:
    """Before signatures are refused for it, and with the command that sets it."""
    found = await look(ahead)

    assert mark == found[0]
    assert told in found[1]
    assert "timedatectl" in str(found[2])


async def test_a_host_that_tells_no_time_answers_all_the_same() -> None:
    """A header that isn't a date is as good as none."""
    assert ("ok", "answers, without a time", None) == await look(None)


async def test_nobody_there() -> None:
    """A port where nobody listens; the address isn't in the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(NotReached, match=r"^no connection$"):
        await reach.ask(f"http://127.0.0.1:{port}/?sig=secret")


async def test_a_host_that_hangs() -> None:
    """It is given its time, no more."""
    ended = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await ended.wait()
        return web.Response()

    async with serve(hang) as address:
        with pytest.raises(NotReached, match="no answer within"):
            await reach.ask(address, timeout=0.2)
        ended.set()


async def test_a_host_without_tls() -> None:
    """A host with plain HTTP isn't accepted as a secure one."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response()

    async with serve(answer) as address:
        with pytest.raises(NotReached, match="no TLS connection"):
            await reach.ask(address.replace("http", "https"))


async def test_a_connection_that_breaks_off() -> None:
    """Half an answer is none."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serve(half) as address:
        with pytest.raises(NotReached):
            await reach.ask(address)


@pytest.mark.parametrize("url", ["https://.asm.skype.com/", "https://a..b/", "http://127.0.0.1:99999/"])
async def test_an_address_that_cannot_be(url: str) -> None:
    """It is reported like any other that isn't reached."""
    with pytest.raises(NotReached):
        await reach.ask(url)
