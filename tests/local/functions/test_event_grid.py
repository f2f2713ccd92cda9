"""The Event Grid webhook answers as the table of docs/functions-host.md#event-grid says."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from local.functions.host import Host

from .messages import receive

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOTIFICATION = {"aeg-event-type": "Notification"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(apps: Path, storage: str) -> AsyncIterator[str]:
    """Return the address of the webhook of a host that runs the app `queue`."""
    environ = {"AzureWebJobsStorage": storage, "JOBS": "event-jobs"}
    async with Host(app_dir=apps / "queue", environ=environ) as host:
        yield f"{host.url}/runtime/webhooks/EventGrid"


async def post(url: str, name: str, body: Any, *, headers: dict[str, str] | None = None) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        ClientSession() as client,
        client.post(f"{url}?functionName={name}", data=data, headers=headers or NOTIFICATION) as response,
    ):
        return response.status, await response.text()


def event(identifier: str, **data: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "topic": None,
        "subject": "s",
        "eventType": "t",
        "eventTime": "2026-11-23T10:00:00Z",
        "data": data,
        "dataVersion": "1",
    }


async def test_text(url: str, storage: str) -> None:
    """Each event of a batch runs the function once with the event's JSON, and its outputs are written; 202."""
    events = [event("1", name="Ä", list=[1, 2]), {"specversion": "1.0", "id": "2", "time": "2026-11-23T10:00:00+02:00"}]

    assert await post(url, "receive", events) == (202, "")
    messages = [json.loads(body) for body in await receive(storage, "out-events", count=4)]
    assert sorted([*events, *events], key=str) == sorted(messages, key=str)


async def test_single_object(url: str) -> None:
    """An event that isn't in an array is accepted, too."""

    assert await post(url, "typed", event("1", n=1), headers={"Aeg-Event-Type": "NOTIFICATION"}) == (202, "")


async def test_returned(url: str, storage: str) -> None:
    """What a function returns goes where its `$return` binding says."""

    assert await post(url, "returned", [event("back")]) == (202, "")
    assert await receive(storage, "out-returned", count=1) == [b"back"]


async def test_failure(url: str, storage: str) -> None:
    """One failed event makes the batch a 500 that names the function; the others have run."""
    expected = (500, "Exception while executing function: Functions.receive")

    assert expected == await post(url, "receive", [event("fail"), event("after")])
    assert len(await receive(storage, "out-events", count=2)) == 2


async def test_in_parallel(url: str) -> None:
    """The events of a batch run at the same time, and the answer comes after the last."""
    started = asyncio.get_running_loop().time()

    assert await post(url, "slow_event", [event(str(n)) for n in range(10)]) == (202, "")
    assert 0.3 <= asyncio.get_running_loop().time() - started < 1.5


@pytest.mark.parametrize("name", ["nobody", "RECEIVE", "work", ""])
async def test_unknown_function(url: str, name: str) -> None:
    """A name that isn't that of an Event Grid function, in its own case, is a 404."""

    assert (404, f"cannot find function: '{name}'") == await post(url, name, [event("1")])


@pytest.mark.parametrize(
    "body",
    [
        [{"id": "1", "data": {"validationCode": "C-1"}}],
        {"id": "1", "data": json.dumps({"validationCode": "C-1"})},
    ],
)
async def test_handshake(url: str, body: Any) -> None:
    """The validation event is answered with its code, in either schema."""
    status, text = await post(url, "receive", body, headers={"aeg-event-type": "SubscriptionValidation"})

    assert (status, json.loads(text)) == (200, {"validationResponse": "C-1"})


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("eventgrid.azure.us", "eventgrid.azure.us"), ("evil.example.com", "eventgrid.azure.net")],
)
async def test_cloud_events_handshake(url: str, origin: str, expected: str) -> None:
    """OPTIONS is answered with an allowed origin that is Event Grid's."""

    async with (
        ClientSession() as client,
        client.options(f"{url}?functionName=receive", headers={"WebHook-Request-Origin": origin}) as response,
    ):
        assert (200, expected) == (response.status, response.headers["Webhook-Allowed-Origin"])


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("Unsubscribe", b"[]", 202),
        ("Other", b"[]", 400),
        ("Notification", b"not json", 500),
        ("Notification", b"[1]", 500),
        ("SubscriptionValidation", b"[]", 500),
    ],
)
async def test_other_requests(url: str, kind: str, body: bytes, expected: int) -> None:
    """Unsubscribing is a 202, an unknown kind a 400, and what can't be read a 500."""
    status, _ = await post(url, "receive", body, headers={"aeg-event-type": kind})

    assert expected == status


async def test_no_kind(url: str) -> None:
    """A request without aeg-event-type is a 400."""
    status, _ = await post(url, "receive", [event("1")], headers={"x-other": "1"})

    assert status == 400
