"""Event Grid delivers as the service does, to a receiver that is a real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from local.eventgrid import HandshakeError, Subscription, Topic

EVENT: dict[str, Any] = {
    "id": "7283825e-f8f1-4c61-a9ea-752c56890500",
    "topic": "/subscriptions/s/resourcegroups/g/providers/microsoft.communication/communicationservices/name",
    "subject": "/recording/call/1",
    "data": {"recordingDurationMs": 6620},
    "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
    "dataVersion": "1.0",
    "metadataVersion": "1",
    "eventTime": "2021-07-27T15:20:34.2199328Z",
}


@dataclass
class Receiver:
    """An endpoint that does the handshakes and answers each delivery with the next of `answers`, then 200."""

    answers: list[int] = field(default_factory=list)
    endpoint: str = ""
    handshake_answer: Callable[[str], web.Response] = lambda code: web.json_response({"validationResponse": code})
    allowed_origin: str = "eventgrid.azure.net"
    hang_seconds: float = 0.0
    deliveries: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    handshakes: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.method == "OPTIONS":
            self.handshakes.append((headers, None))
            return web.Response(headers={"WebHook-Allowed-Origin": self.allowed_origin, "WebHook-Allowed-Rate": "*"})
        body = await request.json()
        if headers["aeg-event-type"] == "SubscriptionValidation":
            self.handshakes.append((headers, body))
            return self.handshake_answer(body[0]["data"]["validationCode"])
        self.deliveries.append((headers, body))
        answer = self.answers.pop(0) if self.answers else 200
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.hang_seconds)
        self.at_once -= 1
        return web.Response(status=answer)

    async def wait_for(self, count: int) -> list[Any]:
        """Return the bodies, once there are `count` of them."""
        async with asyncio.timeout(5):
            while len(self.deliveries) < count:
                await asyncio.sleep(0.005)
        return [body for _, body in self.deliveries]


@asynccontextmanager
async def serve(receiver: Receiver) -> AsyncIterator[Receiver]:
    app = web.Application()
    app.router.add_route("*", "/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


def subscription(receiver: Receiver, **changes: Any) -> Subscription:
    return Subscription("to-app", receiver.endpoint, **{"time_scale": 0.001, **changes})


async def settled(topic: Topic) -> dict[str, Any]:
    """Return the report of the only subscription, once nothing is pending."""
    async with asyncio.timeout(5):
        while (report := topic.report()[0])["pending"]:
            await asyncio.sleep(0.005)
    return report


def dead_letters(folder: Path) -> list[Any]:
    return [json.loads(path.read_text()) for path in folder.iterdir()]


async def test_handshake() -> None:
    """Subscribing in the Event Grid schema posts a validation event in an array, with the service's headers."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))

        [(headers, [event])] = receiver.handshakes
        assert "Microsoft.EventGrid.SubscriptionValidationEvent" == event["eventType"]
        assert "SubscriptionValidation" == headers["aeg-event-type"]
        assert "TO-APP" == headers["aeg-subscription-name"]
        assert "application/json; charset=utf-8" == headers["content-type"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda code: web.json_response({"validationResponse": code}, status=202), "answered 202, not 200"),
        (lambda code: web.json_response({"validationResponse": f"{code}x"}), "didn't return the validationCode"),
        (lambda code: web.json_response([code]), "didn't return the validationCode"),
        (lambda _: web.Response(text="hello"), "didn't return the validationCode"),
        (lambda _: web.Response(), "didn't return the validationCode"),
        (
            lambda _: web.Response(status=404, text="cannot find function"),
            "answered 404, not 200: cannot find function",
        ),
    ],
)
async def test_handshake_refused(answer: Callable[[str], web.Response], reason: str) -> None:
    """An endpoint that doesn't answer 200 with the validation code isn't subscribed."""

    async with serve(Receiver(handshake_answer=answer)) as receiver, Topic() as topic:
        with pytest.raises(HandshakeError, match=reason):
            await topic.subscribe(subscription(receiver))

        assert [] == topic.report()


async def test_handshake_unreachable() -> None:
    """An endpoint where nobody listens isn't subscribed."""

    async with serve(Receiver()) as receiver:
        gone = subscription(receiver)
    async with Topic() as topic:
        with pytest.raises(HandshakeError, match="can't be reached"):
            await topic.subscribe(gone)


async def test_handshake_cloud_events() -> None:
    """Subscribing with CloudEvents asks by OPTIONS whether Event Grid may send."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, schema="CloudEventSchemaV1_0"))

        [(headers, _)] = receiver.handshakes
        assert "eventgrid.azure.net" == headers["webhook-request-origin"]


async def test_handshake_cloud_events_refused() -> None:
    """An endpoint that allows another origin only isn't subscribed."""

    async with serve(Receiver(allowed_origin="example.org")) as receiver, Topic() as topic:
        with pytest.raises(HandshakeError, match="without WebHook-Allowed-Origin"):
            await topic.subscribe(subscription(receiver, schema="CloudEventSchemaV1_0"))


async def test_delivery() -> None:
    """An event arrives as it was published, alone in an array, with the service's headers."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        topic.publish(EVENT)

        assert [[EVENT]] == await receiver.wait_for(1)
        headers = receiver.deliveries[0][0]
        assert "application/json; charset=utf-8" == headers["content-type"]
        assert "Notification" == headers["aeg-event-type"]
        assert "TO-APP" == headers["aeg-subscription-name"]
        assert "0" == headers["aeg-delivery-count"]
        assert "1.0" == headers["aeg-data-version"]
        assert "1" == headers["aeg-metadata-version"]
        assert 36 == len(headers["aeg-output-event-id"])


async def test_publish_fills_in() -> None:
    """An event without a topic and metadata version gets them, as from the service."""

    async with serve(Receiver()) as receiver, Topic(topic="/the/topic") as topic:
        await topic.subscribe(subscription(receiver))
        topic.publish({"id": "1"})

        assert [[{"id": "1", "topic": "/the/topic", "metadataVersion": "1"}]] == await receiver.wait_for(1)


async def test_delivery_cloud_events() -> None:
    """With CloudEvents the event arrives converted, as a single object."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, schema="CloudEventSchemaV1_0"))
        topic.publish(EVENT)

        assert [
            {
                "id": EVENT["id"],
                "source": EVENT["topic"],
                "specversion": "1.0",
                "type": EVENT["eventType"],
                "subject": EVENT["subject"],
                "time": EVENT["eventTime"],
                "data": EVENT["data"],
            }
        ] == await receiver.wait_for(1)
        assert "application/cloudevents+json; charset=utf-8" == receiver.deliveries[0][0]["content-type"]


async def test_batch() -> None:
    """With batching several events come in one request, in no more than that many."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, max_events_per_batch=3))
        for number in range(5):
            topic.publish({**EVENT, "id": str(number)})

        assert [3, 2] == [len(body) for body in await receiver.wait_for(2)]


async def test_batch_bytes() -> None:
    """A batch has 1 MB at most, as Event Grid's have; an event that is nearly as large goes alone."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, max_events_per_batch=10))
        for size in (500_000, 500_000, 500_000, 1_047_000, 2_000):
            topic.publish({**EVENT, "data": "x" * size})

        assert [1, 1, 1, 2] == sorted(len(body) for body in await receiver.wait_for(4))


async def test_batch_cloud_events() -> None:
    """A batch of CloudEvents has its own content type."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, max_events_per_batch=3, schema="CloudEventSchemaV1_0"))
        topic.publish(EVENT)

        assert [1] == [len(body) for body in await receiver.wait_for(1)]
        assert "application/cloudevents-batch+json; charset=utf-8" == receiver.deliveries[0][0]["content-type"]


async def test_event_types() -> None:
    """A subscription gets the event types that it names and no others."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, included_event_types=("A",)))
        for event_type in ("A", "B", "A"):
            topic.publish({**EVENT, "eventType": event_type})

        await settled(topic)
        assert ["A", "A"] == [body[0]["eventType"] for _, body in receiver.deliveries]


@pytest.mark.parametrize("status", [404, 408, 429, 500, 503, 302, 205])
async def test_retry(status: int) -> None:
    """An answer other than 200 to 204 leads to another attempt, which counts."""

    async with serve(Receiver([status, 202])) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        topic.publish(EVENT)

        report = await settled(topic)
        assert ["0", "1"] == [headers["aeg-delivery-count"] for headers, _ in receiver.deliveries]
        assert (1, 1) == (report["delivered"], report["failedAttempts"])


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204])
async def test_success(status: int) -> None:
    """An event that is answered with 200 to 204 isn't delivered again."""

    async with serve(Receiver([status])) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        topic.publish(EVENT)

        report = await settled(topic)
        assert (1, 0, 1) == (report["delivered"], report["failedAttempts"], len(receiver.deliveries))


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        (400, "UndeliverableDueToHttpBadRequest", "BadRequest"),
        (401, "UndeliverableDueToHttpUnauthorized", "Unauthorized"),
        (403, "UndeliverableDueToHttpForbidden", "Forbidden"),
        (413, "UndeliverableDueToHttpRequestEntityTooLarge", "PayloadTooLarge"),
    ],
)
async def test_dead_letter_at_once(tmp_path: Path, status: int, reason: str, outcome: str) -> None:
    """400, 401, 403 and 413 are never tried again: the event becomes a dead letter that says why."""

    async with serve(Receiver([status])) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, dead_letter_folder=tmp_path))
        topic.publish(EVENT)

        report = await settled(topic)
        assert (1, 1) == (report["deadLettered"], len(receiver.deliveries))
        [[letter]] = dead_letters(tmp_path)
        assert letter.items() >= EVENT.items()
        assert reason == letter["deadLetterReason"]
        assert outcome == letter["lastDeliveryOutcome"]
        assert 1 == letter["deliveryAttempts"]
        assert letter["publishTime"] <= letter["lastDeliveryAttemptTime"]


async def test_dropped() -> None:
    """Without a dead-letter folder an undeliverable event is dropped, and counted."""

    async with serve(Receiver([400])) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        topic.publish(EVENT)

        report = await settled(topic)
        assert (1, 0) == (report["dropped"], report["deadLettered"])


async def test_attempts_used_up(tmp_path: Path) -> None:
    """When the attempts are used up the event becomes a dead letter, in the form of CloudEvents if it was one."""

    async with serve(Receiver([500] * 9)) as receiver, Topic() as topic:
        await topic.subscribe(
            subscription(receiver, max_attempts=3, dead_letter_folder=tmp_path, schema="CloudEventSchemaV1_0")
        )
        topic.publish(EVENT)

        await settled(topic)
        [[letter]] = dead_letters(tmp_path)
        assert ("MaxDeliveryAttemptsExceeded", 3) == (letter["deadletterreason"], letter["deliveryattempts"])
        assert EVENT["eventType"] == letter["type"]


async def test_time_to_live(tmp_path: Path) -> None:
    """After a day, which the schedule fills with eleven attempts, the event becomes a dead letter."""

    async with serve(Receiver([500] * 20)) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, time_scale=0.000001, dead_letter_folder=tmp_path))
        topic.publish(EVENT)

        await settled(topic)
        [[letter]] = dead_letters(tmp_path)
        assert ("TimeToLiveExceeded", 11) == (letter["deadLetterReason"], letter["deliveryAttempts"])


def test_schedule() -> None:
    """The delays are those of the service, longer after 408 and 503."""

    described = Subscription("to-app", "http://127.0.0.1/hook")

    delays = [described.delay_after(attempts, 500) for attempts in range(1, 13)]
    assert [10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 43200, 43200] == delays
    assert [120, 30, 10] == [described.delay_after(1, status) for status in (408, 503, None)]


async def test_time_out() -> None:
    """An endpoint that doesn't answer in time gets the event again."""

    async with serve(Receiver(hang_seconds=0.3)) as receiver, Topic(answer_seconds=0.1) as topic:
        await topic.subscribe(subscription(receiver))
        topic.publish(EVENT)

        await receiver.wait_for(2)
        assert 0 == topic.report()[0]["delivered"]


async def test_endpoint_gone(tmp_path: Path) -> None:
    """An endpoint that has gone away since the handshake counts as a failed attempt."""

    async with Topic() as topic:
        async with serve(Receiver()) as receiver:
            await topic.subscribe(subscription(receiver, max_attempts=2, dead_letter_folder=tmp_path))
        topic.publish(EVENT)

        await settled(topic)
        [[letter]] = dead_letters(tmp_path)
        assert ("SocketError", 2) == (letter["lastDeliveryOutcome"], letter["deliveryAttempts"])


async def test_duplicates() -> None:
    """On request each event is delivered that many times more, with the same id."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, duplicates=2))
        topic.publish(EVENT)

        report = await settled(topic)
        assert [EVENT["id"]] * 3 == [body[0]["id"] for _, body in receiver.deliveries]
        assert 3 == report["delivered"]


async def test_shuffle() -> None:
    """On request events come in another order than they were published in, all of them."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver, shuffle=True, max_events_per_batch=20))
        for number in range(20):
            topic.publish({**EVENT, "id": number})

        [body] = await receiver.wait_for(1)
        numbers = [event["id"] for event in body]
        assert list(range(20)) == sorted(numbers)
        assert numbers != list(range(20))


async def test_bounded() -> None:
    """However many events there are, only eight requests are open at once."""

    async with serve(Receiver(hang_seconds=0.02)) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        for _ in range(40):
            topic.publish(EVENT)

        report = await settled(topic)
        assert (40, 8) == (report["delivered"], receiver.most_at_once)


async def test_publish_copies() -> None:
    """What the publisher does with its event afterwards doesn't change what is delivered."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        event = {**EVENT, "data": {"state": "before"}}
        topic.publish(event)
        event["data"]["state"] = "after"

        [[delivered]] = await receiver.wait_for(1)
        assert {"state": "before"} == delivered["data"]


async def test_odd_event() -> None:
    """An event that breaks every rule is delivered unchanged."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        event = {"id": None, "topic": None, "dataVersion": "1\r\nx: y", "metadataVersion": None, "data": [1]}
        topic.publish(event)

        assert [[event]] == await receiver.wait_for(1)


async def test_unsubscribe() -> None:
    """Events that are published after the end of a subscription aren't delivered to it."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        await topic.unsubscribe("To-App")
        topic.publish(EVENT)

        assert ([], []) == (topic.report(), receiver.deliveries)


async def test_resubscribe() -> None:
    """A subscription of the same name replaces the one before."""

    async with serve(Receiver()) as receiver, Topic() as topic:
        await topic.subscribe(subscription(receiver))
        await topic.subscribe(subscription(receiver))
        topic.publish(EVENT)

        await settled(topic)
        assert 1 == len(receiver.deliveries)
