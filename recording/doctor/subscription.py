"""Examine the Event Grid subscription of the system topic, as Azure Resource Manager describes it.

One request to its REST API is enough; the management library isn't worth a dependency for that.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError

from recording.doctor import reach
from recording.doctor.finding import Finding
from recording.doctor.reach import NotReached
from recording.model.events import FILE_STATUS_UPDATED

ARM = "https://management.azure.com"
_VERSION = "2025-02-15"
_TOPIC = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[\w.()-]{1,90}/providers/Microsoft\.EventGrid/systemTopics/[\w-]{3,50}",
    re.IGNORECASE | re.ASCII,
)
_EVENTS, _DEAD_LETTERS = "event subscription", "dead letters"
_SHOW = (
    'az eventgrid system-topic event-subscription show -g "$EVENTS_GROUP" --system-topic-name "$EVENTS_TOPIC_NAME" '
    "-n recording-files"
)
_SUBSCRIBE = "azd hooks run postdeploy"


def is_topic(text: str) -> bool:
    """Return whether `text` is the resource id of a system topic."""
    return _TOPIC.fullmatch(text) is not None


def not_examined(why: str) -> list[Finding]:
    """Return the finding for a subscription that can't be examined, with the command that shows it."""
    return [Finding(_EVENTS, "skipped", f"and {_DEAD_LETTERS}: {why}", _SHOW)]


async def examine_subscription(
    topic: str, credential: AsyncTokenCredential, *, retention: timedelta, arm: str = ARM
) -> list[Finding]:
    """Find a subscription that delivers file events to this app, and keeps the events that it can't deliver."""
    url = f"{arm}{topic}/eventSubscriptions?api-version={_VERSION}"
    try:
        answer = await reach.ask(url, login=credential, scope=f"{ARM}/.default")
    except ClientAuthenticationError:
        return not_examined("there is no login on this machine: az login")
    except NotReached as failed:
        return not_examined(f"Azure Resource Manager: {failed}")
    if answer.status in (401, 403):
        return not_examined(f"your login may not read the topic ({answer.status})")
    if answer.status == 404:
        return [Finding(_EVENTS, "fail", "there is no such system topic", "azd provision, or correct --topic")]
    try:
        listed = [_read(one) for one in json.loads(answer.body)["value"]] if answer.status == 200 else None
    except (ValueError, LookupError, TypeError, AttributeError):
        listed = None
    if listed is None:
        return not_examined(f"Azure Resource Manager gave no list ({answer.status})")
    return _judge([one for one in listed if one.is_of_files], retention)


@dataclass(frozen=True)
class _Subscription:
    """A subscription, as far as it matters; `is_ours` = it calls this app's function, or an unknown webhook."""

    name: str
    state: str
    is_of_files: bool
    is_ours: bool
    dead_letters: str | None
    time_to_live: timedelta


def _read(body: dict[str, Any]) -> _Subscription:
    """Read a subscription; raises LookupError, TypeError, ValueError or AttributeError for anything else."""
    properties = body["properties"]
    types = (properties.get("filter") or {}).get("includedEventTypes") or ["All"]
    # With an identity both destinations are one level deeper.
    sent = properties.get("destination") or (properties.get("deliveryWithResourceIdentity") or {}).get("destination")
    kept = properties.get("deadLetterDestination") or (properties.get("deadLetterWithResourceIdentity") or {}).get(
        "deadLetterDestination"
    )
    target = str(((sent or {}).get("properties") or {}).get("resourceId"))
    return _Subscription(
        name=str(body["name"]),
        state=str(properties.get("provisioningState")),
        is_of_files=any(str(one).lower() in ("all", FILE_STATUS_UPDATED.lower()) for one in types),
        # The address of a webhook is a secret that the answer doesn't have.
        is_ours=(sent or {}).get("endpointType") == "WebHook" or target.lower().endswith("/functions/receive_event"),
        dead_letters=((kept or {}).get("properties") or {}).get("blobContainerName"),
        time_to_live=timedelta(
            minutes=int((properties.get("retryPolicy") or {}).get("eventTimeToLiveInMinutes") or 1440)
        ),
    )


def _judge(listed: list[_Subscription], retention: timedelta) -> list[Finding]:
    ours = [one for one in listed if one.is_ours]
    if not ours:
        why = f"{len(listed)} for file events, none calls receive_event" if listed else "none for file events"
        return [Finding(_EVENTS, "fail", f"{why}: no recording is announced", _SUBSCRIBE)]
    good = [one for one in ours if one.state == "Succeeded"]
    if not good:
        return [Finding(_EVENTS, "fail", f"{ours[0].name} is {ours[0].state}, not Succeeded", _SUBSCRIBE)]
    one = next((one for one in good if one.dead_letters), good[0])
    events = Finding(_EVENTS, "ok", f"{one.name} delivers file events")
    if one.time_to_live >= retention:
        why = f"{one.name} tries an event for {one.time_to_live}, until ACS has deleted the recording"
        half = int(retention / timedelta(minutes=2))
        events = Finding(_EVENTS, "warn", why, f"azd env set EVENT_MINUTES_TO_LIVE {half} && {_SUBSCRIBE}")
    if one.dead_letters:
        return [events, Finding(_DEAD_LETTERS, "ok", f"kept in the container {one.dead_letters}")]
    return [events, Finding(_DEAD_LETTERS, "fail", f"{one.name} drops what it can't deliver", _SUBSCRIBE)]
