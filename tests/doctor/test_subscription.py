"""recording/doctor/subscription.py: are events delivered, and those that can't be, kept?"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from recording.doctor import subscription
from recording.doctor.finding import Finding
from tests.support.source import serve

TOPIC = (
    "/subscriptions/3f2b0e4c-0000-4000-8000-000000000001/resourceGroups/rg-recordings/providers/"
    "Microsoft.EventGrid/systemTopics/acs-events"
)
TOKEN = "secret-token"
FUNCTION = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app/functions/receive_event"
DAY = timedelta(hours=24)


class Login:
    """A login that has a token, or none."""

    def __init__(self, token: str | None = TOKEN) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return the token for Azure Resource Manager."""
        assert scopes == ("https://management.azure.com/.default",)
        if self._token is None:
            raise ClientAuthenticationError("run az login")
        return AccessToken(self._token, 2_000_000_000)

    async def close(self) -> None:
        """Have nothing to close."""

    async def __aenter__(self) -> "Login":
        """Have nothing to open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Have nothing to close."""


def listed(**more: Any) -> dict[str, Any]:
    """Write a subscription as infra/subscriptions.bicep makes it."""
    letters = {"endpointType": "StorageBlob", "properties": {"blobContainerName": "dead-letters"}}
    return {
        "name": "recording-files",
        "properties": {
            "provisioningState": "Succeeded",
            "destination": {"endpointType": "AzureFunction", "properties": {"resourceId": FUNCTION}},
            "filter": {"includedEventTypes": ["Microsoft.Communication.RecordingFileStatusUpdated"]},
            "retryPolicy": {"eventTimeToLiveInMinutes": 720, "maxDeliveryAttempts": 30},
            "deadLetterWithResourceIdentity": {"deadLetterDestination": letters},
            **more,
        },
    }


@asynccontextmanager
async def arm(answer: Callable[[], web.Response]) -> AsyncIterator[str]:
    """Serve as Azure Resource Manager, which wants to see the token."""

    async def respond(request: web.Request) -> web.StreamResponse:
        assert request.path == f"{TOPIC}/eventSubscriptions"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        return answer()

    async with serve(respond) as address:
        yield address


async def check(*subscriptions: Any, status: int = 200, login: Login | None = None) -> list[Finding]:
    """Examine a topic with these subscriptions."""
    async with arm(lambda: web.json_response({"value": list(subscriptions)}, status=status)) as address:
        found = await subscription.examine_subscription(TOPIC, login or Login(), retention=DAY, arm=address)
    assert TOKEN not in str(found)
    return found


async def test_a_subscription_as_deployed_is_good() -> None:
    """It delivers file events to this app, and keeps what it can't deliver."""
    assert [("event subscription", "ok"), ("dead letters", "ok")] == [(f.name, f.mark) for f in await check(listed())]


async def test_a_plain_dead_letter_destination_and_a_webhook_are_good_too() -> None:
    """Without an identity both are in other members; Azure doesn't show a webhook's address."""
    letters = {"endpointType": "StorageBlob", "properties": {"blobContainerName": "letters"}}
    hook = {"endpointType": "WebHook", "properties": {"endpointBaseUrl": "https://app.example"}}
    more = {"destination": hook, "deadLetterDestination": letters, "deadLetterWithResourceIdentity": None, "filter": {}}

    found = await check(listed(**more))

    assert ["ok", "ok"] == [one.mark for one in found]
    assert "letters" in found[1].detail


@pytest.mark.parametrize(
    ("subscriptions", "told"),
    [
        ([], "none for file events"),
        ([listed(filter={"includedEventTypes": ["Microsoft.Communication.CallStarted"]})], "none for file events"),
        ([listed(destination={"endpointType": "StorageQueue", "properties": {"resourceId": "/q"}})], "none calls"),
        ([listed(destination=None)], "none calls"),
        ([listed(provisioningState="AwaitingManualAction")], "AwaitingManualAction"),
    ],
)
async def test_no_delivery_is_a_failure(subscriptions: list[Any], told: str) -> None:
    """It says what is missing, and which command subscribes."""
    [found] = await check(*subscriptions)

    assert ("fail", "azd hooks run postdeploy") == (found.mark, found.fix)
    assert told in found.detail


async def test_events_that_would_be_dropped_are_a_failure() -> None:
    """Delivery is good, but what fails for a day is gone."""
    events, letters = await check(listed(deadLetterWithResourceIdentity=None))

    assert ("ok", "fail", "azd hooks run postdeploy") == (events.mark, letters.mark, letters.fix)


async def test_a_delivery_that_outlives_the_recording_is_told() -> None:
    """A dead letter after a day comes when ACS has deleted the files (docs/acs-contract.md#delivery-semantics)."""
    events, _ = await check(listed(retryPolicy={"eventTimeToLiveInMinutes": 1440}))

    assert "warn" == events.mark
    assert "EVENT_MINUTES_TO_LIVE 720" in str(events.fix)


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_what_may_not_be_seen_is_skipped_with_a_command(status: int) -> None:
    """A missing right to read isn't a broken deployment."""
    [found] = await check(status=status)

    assert "skipped" == found.mark
    assert "az eventgrid system-topic event-subscription show" in str(found.fix)


async def test_without_a_login_it_is_skipped() -> None:
    """What the login says of itself isn't shown."""
    [found] = await check(login=Login(None))

    assert ("skipped", True) == (found.mark, "az login" in found.detail)


async def test_a_topic_that_is_not_there_is_a_failure() -> None:
    """The id was given on purpose."""
    [found] = await check(status=404)

    assert "fail" == found.mark


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"value": [{"name": "x"}]}', '{"value": 5}', '{"value": [{"properties": 5}]}']
)
async def test_an_answer_that_is_no_list_is_skipped(body: str) -> None:
    """Nothing is concluded from what can't be read."""
    async with arm(lambda: web.Response(text=body)) as address:
        [found] = await subscription.examine_subscription(TOPIC, Login(), retention=DAY, arm=address)

    assert "skipped" == found.mark


@pytest.mark.parametrize(
    "text", ["", "acs-events", TOPIC + "/..", TOPIC + "?x=1", TOPIC.replace("systemTopics", "topics"), "x" + TOPIC]
)
def test_only_the_id_of_a_system_topic_becomes_a_path(text: str) -> None:
    """It comes from a command line."""
    assert (True, False) == (subscription.is_topic(TOPIC), subscription.is_topic(text))
