"""Domain events for other systems, on a custom Event Grid topic of the operator's.

Published if EVENTS_TOPIC_ENDPOINT is set. The id of a notice follows from its content, so that a
repeat after a crash has the same id, and a receiver can recognise it.
"""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from recording.errors import describe
from recording.telemetry import log
from recording.urls import names_proxy

SOURCE = "acs-call-recording"
# By default the client tries ten times, which takes minutes: a topic that is down would use up a timer run, and the
# 30 s that Event Grid waits (docs/functions-host.md#event-grid). The caller publishes again later.
_RETRIES = 2
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "acs-call-recording")

Kind = Literal["Recording.Archived", "Recording.AtRisk", "Recording.Lost", "Recording.Quarantined"]


@dataclass(frozen=True)
class Notice:
    """One event for other systems; `fact` distinguishes it from others of the same kind and subject."""

    kind: Kind
    subject: str
    fact: str
    time: datetime
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """Return the same id for the same fact, however often it is published."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.kind} {self.subject} {self.fact}"))


class Topic:
    """Publishes notices, or does nothing if no topic is set; close it with `aclose`."""

    def __init__(
        self,
        endpoint: str | None,
        key: str | None,
        credential: AsyncTokenCredential | None,
        *,
        timeout: float = 10.0,
    ) -> None:
        self._timeout = timeout
        chosen = AzureKeyCredential(key) if key else credential
        self._client = (
            EventGridPublisherClient(endpoint, chosen, retry_total=_RETRIES, use_env_settings=names_proxy())
            if endpoint and chosen
            else None
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.close()

    @property
    def is_set(self) -> bool:
        """Return whether notices go anywhere."""
        return self._client is not None

    async def publish(self, *notices: Notice) -> None:
        """Publish notices; raises azure-core's errors or TimeoutError, after which the caller must try again later."""
        if not self._client or not notices:
            return
        events = [
            CloudEvent(source=SOURCE, type=n.kind, subject=n.subject, id=n.id, time=n.time, data=n.data)
            for n in notices
        ]
        async with asyncio.timeout(self._timeout):
            await self._client.send(events)
        for notice in notices:
            log.info("notice.published", kind=notice.kind, subject=notice.subject, noticeId=notice.id)


@dataclass
class RunNotices:
    """Publishes the notices of one timer run; after the first failure it doesn't try again, to save the run's time."""

    topic: Topic
    failed: bool = False

    async def publish(self, *notices: Notice) -> bool:
        """Publish notices in one request; return False if the next run must do it."""
        if self.failed:
            return False
        try:
            await self.topic.publish(*notices)
        except (AzureError, TimeoutError) as failed:
            self.failed = True
            following = "the next run publishes it"
            log.warning("notice.failed", kind=notices[0].kind, reason=describe(failed), next=following)
            return False
        return True
