"""Domain events for other systems, on a custom Event Grid topic of the operator's.

Published when EVENTS_TOPIC_ENDPOINT is set. The id of a notice is made of what it tells, so that
a repeat after a crash has the same id and a receiver can tell it from a second fact.
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

from recording.telemetry import log

SOURCE = "acs-call-recording"
# The client's own ten tries take minutes: a topic that is down would cost the archive its run, and an event
# its 30 s (docs/functions-host.md#event-grid). Whoever publishes tries again later.
_RETRIES = 2
_SECONDS = 10.0
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "acs-call-recording")

Kind = Literal["Recording.Archived", "Recording.AtRisk", "Recording.Lost", "Recording.Quarantined"]


@dataclass(frozen=True)
class Notice:
    """One thing that other systems may want to know; `fact` tells it from every other."""

    kind: Kind
    subject: str
    fact: str
    time: datetime
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """The same for the same fact, however often it is published."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.kind} {self.subject} {self.fact}"))


class Topic:
    """Publishes notices, or does nothing where no topic is set; close it with `aclose`."""

    def __init__(self, endpoint: str | None, key: str | None, credential: AsyncTokenCredential | None) -> None:
        chosen = AzureKeyCredential(key) if key else credential
        self._client = EventGridPublisherClient(endpoint, chosen, retry_total=_RETRIES) if endpoint and chosen else None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.close()

    async def publish(self, *notices: Notice) -> None:
        """Publish, in ten seconds at most; raises azure-core's errors or TimeoutError.

        The caller's fact is then told again by its next try.
        """
        if not self._client or not notices:
            return
        told = [
            CloudEvent(source=SOURCE, type=n.kind, subject=n.subject, id=n.id, time=n.time, data=n.data)
            for n in notices
        ]
        async with asyncio.timeout(_SECONDS):
            await self._client.send(told)
        for notice in notices:
            log.info("notice.published", kind=notice.kind, subject=notice.subject, noticeId=notice.id)


@dataclass
class RunNotices:
    """The notices of one timer run; after the first failure the topic isn't tried again: the run has more to do."""

    notices: Topic
    failed: bool = False

    async def tell(self, notice: Notice) -> bool:
        """Publish a notice; False if the next run must do it."""
        if self.failed:
            return False
        try:
            await self.notices.publish(notice)
        except (AzureError, TimeoutError) as failed:
            self.failed = True
            reason = type(failed).__name__
            log.warning("notice.failed", kind=notice.kind, reason=reason, next="the next run tells it again")
            return False
        return True
