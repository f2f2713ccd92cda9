"""Tests of callback delivery."""

from typing import Any

from local.acs.callbacks import Callbacks

from .client import eventually
from .conftest import Inbox


async def test_order_and_retry(inbox: Inbox) -> None:
    """Callbacks to one address arrive in order, also when the first attempt fails."""
    inbox.refusals = 1
    async with Callbacks() as callbacks:
        for number in range(5):
            callbacks.send(inbox.url, {"number": number})

        async def five() -> Any:
            return len(inbox.received) == 5 and inbox.received

        received = await eventually(five)

    assert [body["number"] for body in received] == [0, 1, 2, 3, 4]


async def test_nobody_there(inbox: Inbox) -> None:
    """An address where nobody listens disturbs neither other addresses nor the end."""
    async with Callbacks() as callbacks:
        callbacks.send("http://127.0.0.1:1/", {"number": 1})
        callbacks.send(inbox.url, {"number": 2})

        async def one() -> Any:
            return inbox.received

        assert await eventually(one) == [{"number": 2}]
