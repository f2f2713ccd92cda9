"""Event Grid: one topic with its subscriptions, which delivers over HTTP as the service does.

Delivery is at least once and in no order; docs/acs-contract.md#delivery has the source of every header, status and
delay. Missing are manual validation, delivery to anything but a webhook, and the probation of an endpoint that keeps
failing.
"""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp

from local.delivery import ORIGIN, Delivery, is_cloud_event
from local.subscription import Subscription

__all__ = ["DEFAULT_TOPIC", "HandshakeError", "Subscription", "Topic"]

ANSWER_SECONDS = 30.0
DEFAULT_TOPIC = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    "/providers/Microsoft.Communication/communicationServices/emulator"
)


class HandshakeError(Exception):
    """The endpoint of a subscription didn't pass the validation."""


class Topic:
    """Deliver published events to every subscription for their type.

    An async context manager: leaving it ends all deliveries, even if events are pending. `answer_seconds` is how long
    an endpoint may take to answer.
    """

    def __init__(self, *, topic: str = DEFAULT_TOPIC, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.topic = topic
        self._answer_seconds = answer_seconds
        self._session: aiohttp.ClientSession | None = None
        self._deliveries: dict[str, Delivery] = {}

    async def __aenter__(self) -> Self:
        # The client doesn't retry: each attempt has one answer, and the schedule decides on the next attempt.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._answer_seconds), cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for name in list(self._deliveries):
            await self.unsubscribe(name)
        if self._session is not None:
            await self._session.close()

    async def subscribe(self, subscription: Subscription) -> None:
        """Validate the endpoint, then deliver to it what is published from now on.

        A subscription of the same name (case-insensitive) is replaced. Raises HandshakeError with the reason.
        """
        session = self._session
        if session is None:
            raise RuntimeError("the topic is used outside of its context")
        try:
            if subscription.schema == "EventGridSchema":
                await self._shake_hands(session, subscription)
            else:
                await self._ask_permission(session, subscription)
        except (aiohttp.ClientError, OSError) as error:
            raise HandshakeError(f"{subscription.endpoint} can't be reached: {error}") from error
        except TimeoutError:
            raise HandshakeError(f"{subscription.endpoint} didn't answer in {self._answer_seconds:g} s") from None
        await self.unsubscribe(subscription.name)
        self._deliveries[subscription.name.upper()] = Delivery(subscription, session=session)

    async def unsubscribe(self, name: str) -> None:
        """Stop delivering to a subscription and forget its pending events; no error if there is none."""
        if delivery := self._deliveries.pop(name.upper(), None):
            await delivery.close()

    def publish(self, event: dict[str, Any]) -> None:
        """Queue an event, a dict in the Event Grid schema, for every subscription for its type.

        `topic` and `metadataVersion` are added when absent, as the service does; nothing else is changed or checked, so
        that invalid events can be delivered, too. A CloudEvent is delivered unchanged.
        """
        if not is_cloud_event(event):
            event = {"topic": self.topic, **event, "metadataVersion": event.get("metadataVersion", "1")}
        # Copied through JSON, as over the wire: the caller may change its own afterwards.
        copy = json.loads(json.dumps(event))
        for delivery in self._deliveries.values():
            if delivery.subscription.takes(copy.get("type" if is_cloud_event(copy) else "eventType")):
                delivery.add(copy)

    def report(self) -> list[dict[str, Any]]:
        """Return one dict per subscription.

        Members: name, endpoint, delivered, failedAttempts, deadLettered, dropped, pending. Duplicates are counted.
        """
        return [delivery.report() for delivery in self._deliveries.values()]

    async def _shake_hands(self, session: aiohttp.ClientSession, subscription: Subscription) -> None:
        """Validate an endpoint as for the Event Grid schema (docs/acs-contract.md#validation)."""
        code = str(uuid.uuid4())
        event = {
            "id": str(uuid.uuid4()),
            "topic": self.topic,
            "subject": "",
            "data": {"validationCode": code},
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "metadataVersion": "1",
            "dataVersion": "1",
        }
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "aeg-event-type": "SubscriptionValidation",
            "aeg-subscription-name": subscription.name.upper(),
            "aeg-delivery-count": "0",
            "aeg-data-version": "1",
            "aeg-metadata-version": "1",
        }
        body = json.dumps([event]).encode()
        async with session.post(subscription.endpoint, data=body, headers=headers, allow_redirects=False) as answer:
            text = await answer.text(errors="replace")
            if answer.status != 200:
                raise HandshakeError(f"{subscription.endpoint} answered {answer.status}, not 200: {text[:200]}")
        if _validation_response(text) != code:
            raise HandshakeError(
                f"{subscription.endpoint} didn't return the validationCode; it answered {text[:200]!r}"
            )

    async def _ask_permission(self, session: aiohttp.ClientSession, subscription: Subscription) -> None:
        """Validate an endpoint as the webhook specification of CloudEvents says.

        See docs/acs-contract.md#cloudevents-validation.
        """
        headers = {"WebHook-Request-Origin": ORIGIN, "aeg-subscription-name": subscription.name.upper()}
        async with session.options(subscription.endpoint, headers=headers, allow_redirects=False) as answer:
            if answer.status not in (200, 201, 202, 204):
                raise HandshakeError(f"{subscription.endpoint} answered OPTIONS with {answer.status}")
            allowed = _allowed_origins(answer.headers)
        if not allowed & {"*", ORIGIN}:
            raise HandshakeError(f"{subscription.endpoint} answered OPTIONS without WebHook-Allowed-Origin: {ORIGIN}")


def _validation_response(text: str) -> Any:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer.get("validationResponse") if isinstance(answer, dict) else None


def _allowed_origins(headers: Mapping[str, str]) -> set[str]:
    return {origin.strip().lower() for origin in headers.get("WebHook-Allowed-Origin", "").split(",")}
