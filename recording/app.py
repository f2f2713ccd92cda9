"""The composition root: settings become clients, once per process, on first use.

Not at import: a missing setting would leave the whole app without functions, and with nothing
but a stack trace to say why (docs/functions-host.md#python-worker).
"""

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ResourceExistsError
from azure.identity.aio import DefaultAzureCredential
from azure.storage.queue.aio import QueueClient

from recording import timer
from recording.acs.call_automation import CallAutomation
from recording.acs.callbacks import CallbackAuth
from recording.acs.content import Content
from recording.acs.preview_2021 import Preview2021
from recording.archive.run import TimerReport
from recording.clock import utc_now
from recording.config.resource import Resource
from recording.config.settings import Settings, read_settings
from recording.errors import Misconfigured
from recording.ingest.chunk import LAST_RESORT, ChunkIngest
from recording.intake import backlog, poison, receive
from recording.intake.backlog import Backlog
from recording.model.job import QUEUE
from recording.notices import Topic
from recording.storage import recordings
from recording.storage.blobs import Blobs
from recording.storage.queues import open_queue
from recording.telemetry import log, traces


@dataclass(frozen=True)
class App:
    """Everything that a function needs."""

    settings: Settings
    storage: Blobs
    queue: QueueClient
    poison: QueueClient
    events: QueueClient
    poisoned_events: QueueClient
    backlog: Backlog
    notices: Topic
    service: Preview2021 | CallAutomation
    callbacks: CallbackAuth
    content: Content
    ingest: ChunkIngest
    credential: AsyncTokenCredential | None

    async def prepare(self) -> None:
        """Create the queues and the containers that are missing; raises what the service says, but of the archive."""
        await self.storage.create_containers("staging", "quarantine")
        for queue in (self.queue, self.events):
            with contextlib.suppress(ResourceExistsError):
                await queue.create_queue()
        await self.prepare_archive()

    async def prepare_archive(self) -> None:
        """Create the archive container if it is missing; where it can't be reached, chunks are safe in staging."""
        try:
            async with asyncio.timeout(recordings.PATIENCE_SECONDS):
                await self.storage.create_containers("archive")
        except (AzureError, TimeoutError) as failed:
            reason = type(failed).__name__
            log.error("archive.not_prepared", reason=reason, next="chunks go to staging; the timer tries again")

    async def take(self, text: str, held_back: Backlog | None = None) -> list[str]:
        """Take an event in; the answer is the messages to put on the chunk queue."""
        taken = await receive.receive(
            text,
            storage=self.storage,
            service=self.service,
            notices=self.notices,
            settings=self.settings,
            now=utc_now(),
            backlog=held_back,
        )
        return receive.messages(taken)

    async def run_timer(self) -> tuple[TimerReport, list[str]]:
        """Finish, rescue, archive, report; the answer has the messages to put on the chunk queue.

        The timer does it, and `python -m recording archive`; two at once do no harm.
        """
        await self.prepare_archive()
        now = utc_now()
        await poison.drain(self.poison, self.storage, self.notices, now=now)
        late = await poison.drain_events(self.poisoned_events, self.take, self.storage, self.notices, now=now)
        report = await timer.run(self.storage, self.settings, self.notices, self.content, now=now)
        # What was just taken in may be overdue, too: each chunk is queued once.
        return report, list(dict.fromkeys([*late, *receive.messages(report.jobs)]))

    async def aclose(self) -> None:
        """Close every connection."""
        await self.storage.aclose()
        for queue in (self.queue, self.poison, self.events, self.poisoned_events):
            await queue.close()
        await self.notices.aclose()
        await self.service.aclose()
        await self.callbacks.aclose()
        await self.content.aclose()
        if self.credential:
            await self.credential.close()


# The SDK logs every request at INFO: thousands of lines a chunk, with URLs in them.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)

# How long a control operation waits for containers to be looked at after a cold start.
_CONTROL_SECONDS = 5.0

_app: App | None = None
_is_prepared = False
_preparing = asyncio.Lock()


async def ready() -> App:
    """Give the process's app; raises Misconfigured that names what to mend."""
    global _is_prepared
    here = current()
    if not _is_prepared:
        async with _preparing:
            if not _is_prepared:
                await here.prepare()
                _is_prepared = True
    return here


async def ready_if_possible() -> App:
    """Give the process's app, prepared or not: a recording can be stopped while storage is down."""
    with contextlib.suppress(AzureError, TimeoutError):
        async with asyncio.timeout(_CONTROL_SECONDS):
            return await ready()
    return current()


def current() -> App:
    """Give the process's app though storage may be out of reach: health has to tell just that.

    Raises Misconfigured that names what to mend.
    """
    global _app
    if _app is None:
        settings = read_settings(os.environ)
        traces.start(settings.telemetry, os.environ.get("APPLICATIONINSIGHTS_CONNECTION_STRING"))
        _app = connect(settings)
    return _app


async def open_app(settings: Settings) -> App:
    """Build the clients; create the queues and the containers that are missing."""
    here = connect(settings)
    try:
        await here.prepare()
    except BaseException:
        await here.aclose()
        raise
    return here


def connect(settings: Settings) -> App:
    """Build the clients; nothing is sent yet."""
    resource = settings.resource()
    accounts = (settings.host_storage, settings.staging_storage, settings.archive_storage)
    needs_topic_identity = bool(settings.events_topic_endpoint) and settings.events_topic_key is None
    needs_identity = (
        needs_topic_identity or resource.access_key is None or any(one.connection_string is None for one in accounts)
    )
    credential = _identity() if needs_identity else None
    storage = Blobs(settings, credential)
    topic_key = settings.events_topic_key.get_secret_value() if settings.events_topic_key else None
    content = Content(resource, credential, extra_hosts=settings.content_hosts)
    streams = asyncio.Semaphore(settings.ingest_parallelism)
    events = open_queue(settings, backlog.QUEUE, credential)
    return App(
        settings=settings,
        storage=storage,
        queue=open_queue(settings, QUEUE, credential),
        poison=open_queue(settings, f"{QUEUE}-poison", credential),
        events=events,
        poisoned_events=open_queue(settings, f"{backlog.QUEUE}-poison", credential),
        backlog=Backlog(events),
        notices=Topic(settings.events_topic_endpoint, topic_key, credential),
        service=_service(settings, resource, credential),
        # The callbacks of 2021 bear no token (docs/acs-contract.md#2021-callbacks).
        callbacks=CallbackAuth(resource, None if settings.speaks_2021 else settings.acs_resource_id),
        content=content,
        ingest=ChunkIngest(
            storage=storage,
            content=content,
            streams=streams,
            parallelism=settings.ingest_parallelism,
            largest_block=settings.largest_block,
            first_rescue=settings.first_rescue,
            patience=settings.retention * LAST_RESORT,
        ),
        credential=credential,
    )


def _identity() -> AsyncTokenCredential:
    """Build the credential: AZURE_CLIENT_ID picks a user-assigned identity, AZURE_TOKEN_CREDENTIALS a kind of one.

    Without the latter several kinds are tried in turn, and where the identity is out of reach for a moment, a token of
    somebody else may be found instead.
    """
    try:
        return DefaultAzureCredential()
    except ValueError:
        raise Misconfigured(
            "app settings are wrong: AZURE_TOKEN_CREDENTIALS: must be ManagedIdentityCredential in Azure; on a laptop "
            "omit it, or name a kind that azure-identity knows, such as dev or AzureCliCredential"
        ) from None


def _service(
    settings: Settings, resource: Resource, credential: AsyncTokenCredential | None
) -> Preview2021 | CallAutomation:
    if settings.speaks_2021:
        return Preview2021(resource, credential)
    return CallAutomation(resource, credential, api_version=settings.acs_api_version)
