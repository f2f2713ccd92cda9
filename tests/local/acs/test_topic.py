"""The custom topic accepts what the official publisher sends, and shows it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent
from azure.eventgrid.aio import EventGridPublisherClient

from tests.local.acs.client import Client

KEY = AzureKeyCredential("any")
GOOD = {"id": "1", "source": "app", "specversion": "1.0", "type": "Recording.Archived", "data": {"chunks": 2}}


async def events(client: Client) -> list[dict[str, Any]]:
    """Return what the topic shows."""
    answer = await client.control("GET", "/topic/events")
    shown: list[dict[str, Any]] = answer.json["events"]
    return shown


async def test_cloud_events(client: Client) -> None:
    """A batch of CloudEvents is shown as it came, a repeat too."""

    event = CloudEvent(
        source="app", type="Recording.Lost", subject="a/b", id="1", time=datetime.now(UTC), data={"reason": "expired"}
    )
    async with EventGridPublisherClient(f"{client.endpoint}/emulator/topic/api/events", KEY) as publisher:
        await publisher.send([event, event])

    shown = await events(client)
    assert [one["id"] for one in shown] == ["1", "1"]
    assert (shown[0]["type"], shown[0]["subject"], shown[0]["data"]) == ("Recording.Lost", "a/b", {"reason": "expired"})


async def test_event_grid_schema(client: Client) -> None:
    """Events in the Event Grid schema are accepted as well."""

    event = EventGridEvent(subject="a/b", event_type="Recording.Archived", data={}, data_version="1.0")
    async with EventGridPublisherClient(f"{client.endpoint}/emulator/topic/api/events", KEY) as publisher:
        await publisher.send(event)

    assert [one["eventType"] for one in await events(client)] == ["Recording.Archived"]


@pytest.mark.parametrize("member", ["id", "source", "type"])
async def test_incomplete(client: Client, member: str) -> None:
    """An event that lacks what every event has is refused with the whole batch."""

    batch = [GOOD, {name: value for name, value in GOOD.items() if name != member}]
    async with client.session.post(
        f"{client.endpoint}/emulator/topic/api/events", json=batch, headers={"aeg-sas-key": "any"}
    ) as answer:
        assert (answer.status, member in await answer.text()) == (400, True)
    assert await events(client) == []


async def test_no_credential(client: Client) -> None:
    """Without a key or token nothing is accepted."""

    async with client.session.post(f"{client.endpoint}/emulator/topic/api/events", json=[GOOD]) as answer:
        assert answer.status == 401
    assert await events(client) == []
