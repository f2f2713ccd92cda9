"""The composition root: settings become clients, once per process, on first use.

Not at import: a missing setting would leave the app without functions, and with nothing
but a stack trace as the reason (docs/functions-host.md#python-worker).
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.identity.aio import DefaultAzureCredential

from recording import retention
from recording.acs.call_automation import CallAutomation
from recording.acs.callbacks import CallbackAuth
from recording.acs.content import Content
from recording.acs.preview_2021 import Preview2021
from recording.acs.service import RecordingService
from recording.archive.copies import Copies
from recording.archive.erased import ErasedRecordings
from recording.archive.finish import Finish
from recording.archive.hand_over import HandOver
from recording.archive.requeue import Requeue
from recording.archive.review import Review
from recording.archive.sources import SourceCopies
from recording.archive.unannounced import UnannouncedWatch
from recording.catalogue.browse import Catalogue
from recording.catalogue.handout import HandOut
from recording.catalogue.indexing import Indexing
from recording.catalogue.operations import Operations
from recording.catalogue.reindex import Reindex
from recording.catalogue.trail import TrailRows, TrailView
from recording.catalogue.verify import Verifier
from recording.clock import Clock, utc_now
from recording.config.resource import Resource
from recording.config.settings import Settings, read_settings
from recording.control.consents import ConsentControl
from recording.control.operations import RecordingControl
from recording.doctor.health import HealthCheck
from recording.entra import AccessTokens
from recording.erasing.blocked import Blocked
from recording.erasing.job import Erase
from recording.erasing.others import HeldElsewhere
from recording.erasing.plan import ErasurePlan
from recording.erasing.removal import Removal
from recording.erasing.requests import ErasureRequests
from recording.erasing.scope import ScopeFinder
from recording.erasing.trail import TrailEraser
from recording.errors import Misconfigured, describe
from recording.ingest.bulk import BulkIngest
from recording.ingest.chunk import ChunkIngest, IngestLimits
from recording.intake import backlog
from recording.intake.auto_record import AutoRecord
from recording.intake.backlog import Backlog
from recording.intake.poison import PoisonQueues
from recording.intake.quarantine import Quarantine
from recording.intake.receive import Intake
from recording.intake.replay import Replay
from recording.joining.file import Joining
from recording.joining.make import Maker
from recording.keeping.changes import KeepingChanges
from recording.keeping.ending import RetentionEnds
from recording.keeping.follow import Follow
from recording.keeping.searches import HoldSearches
from recording.model import job
from recording.model.attempts import LAST_QUARTER
from recording.model.events import CallLegStateChanged, CallStarted
from recording.model.recheck import RECHECKS
from recording.model.surroundings import Surroundings
from recording.notices import Topic
from recording.people.collect import Collector
from recording.people.exports import Exports
from recording.people.find import PersonFinder
from recording.storage.blobs import RETRIES, Blobs
from recording.storage.calls import CallIds
from recording.storage.consents import Consents
from recording.storage.endings import Endings
from recording.storage.erasures import ErasureStore
from recording.storage.index import Index
from recording.storage.keeping import KeepingStore
from recording.storage.places import Places
from recording.storage.queues import Queue, QueueAccount
from recording.storage.recordings import ARCHIVE_SECONDS, RecordingStore
from recording.storage.starts import StartClaims
from recording.storage.tombstones import Tombstones
from recording.storage.trail import Trail
from recording.telemetry import log, traces
from recording.timer import TimerRun
from recording.workers import Precedence


@dataclass(frozen=True)
class Clients:
    """Everything that has a connection; all are closed together."""

    blobs: Blobs
    queue_account: QueueAccount
    chunk_queue: Queue
    chunk_poison: Queue
    bulk_queue: Queue
    bulk_poison: Queue
    event_queue: Queue
    event_poison: Queue
    index: Index
    archive_queue: Queue
    archive_poison: Queue
    export_queue: Queue
    export_poison: Queue
    join_queue: Queue
    join_poison: Queue
    erasure_queue: Queue
    erasure_poison: Queue
    holds_queue: Queue
    holds_poison: Queue
    topic: Topic
    service: Preview2021 | CallAutomation
    callbacks: CallbackAuth
    content: Content
    # What validates the tokens of people and services; None while `/v1` is off.
    tokens: AccessTokens | None
    credential: AsyncTokenCredential | None
    # How long to wait for the archive where staging suffices.
    archive_timeout: float = ARCHIVE_SECONDS

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Return the queues that functions read."""
        return (
            *(self.chunk_queue, self.bulk_queue, self.event_queue, self.archive_queue),
            *(self.join_queue, self.erasure_queue, self.holds_queue, self.export_queue),
        )

    @property
    def poison_queues(self) -> tuple[Queue, ...]:
        """Return those of what the host gave up, in the same order."""
        return (
            *(self.chunk_poison, self.bulk_poison, self.event_poison, self.archive_poison),
            *(self.join_poison, self.erasure_poison, self.holds_poison, self.export_poison),
        )

    async def prepare(self) -> None:
        """Create missing queues and containers; raises azure-core's errors, except about the archive."""
        await self.blobs.create_containers("staging", "quarantine")
        for queue in self.queues:
            await queue.create()
        await asyncio.gather(self.prepare_archive(), self._prepare_derived())

    async def prepare_archive(self) -> None:
        """Create the archive container if it is missing; where it can't be reached, chunks are safe in staging."""
        try:
            async with asyncio.timeout(self.archive_timeout):
                await self.blobs.create_containers("archive")
        except (AzureError, TimeoutError) as failed:
            following = "chunks go to staging; the timer tries again"
            log.error("archive.not_prepared", reason=describe(failed), next=following)

    async def _prepare_derived(self) -> None:
        """Create the container of derived files, if they have a place and it is missing: no recording needs it."""
        if not self.blobs.keeps_derived:
            return
        try:
            async with asyncio.timeout(self.archive_timeout):
                await self.blobs.create_containers("derived")
        except (AzureError, TimeoutError) as failed:
            log.warning("derived.not_prepared", reason=describe(failed), next="no file is joined or exported")

    async def aclose(self) -> None:
        """Close every connection."""
        await self.blobs.aclose()
        await self.queue_account.aclose()
        await self.index.aclose()
        await self.topic.aclose()
        await self.service.aclose()
        await self.callbacks.aclose()
        await self.content.aclose()
        if self.tokens:
            await self.tokens.aclose()
        if self.credential:
            await self.credential.close()


@dataclass(frozen=True)
class App:
    """The stores and the use cases, wired; close it with `aclose`."""

    settings: Settings
    clients: Clients
    recordings: RecordingStore
    trail: Trail
    starts: StartClaims
    endings: Endings
    calls: CallIds
    tombstones: Tombstones
    quarantine: Quarantine
    backlog: Backlog
    control: RecordingControl
    consents: ConsentControl
    intake: Intake
    ingest: ChunkIngest
    bulk: BulkIngest
    archive: Finish
    timer: TimerRun
    catalogue: Catalogue
    handout: HandOut
    erasure: ErasureRequests
    erase: Erase
    keeping: KeepingChanges
    hold_searches: HoldSearches
    trail_view: TrailView
    trail_rows: TrailRows
    verifier: Verifier
    joining: Joining
    operations: Operations
    requeue: Requeue
    replay: Replay
    reindex: Reindex
    exports: Exports
    health: HealthCheck
    surroundings: Surroundings

    async def aclose(self) -> None:
        """Close every connection."""
        await self.clients.aclose()


# The SDK logs every request at INFO: thousands of lines a chunk, with URLs in them.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)


_app: App | None = None
_is_prepared = False
_preparing = asyncio.Lock()


async def ready() -> App:
    """Return the process's app, prepared; raises Misconfigured, which says what to fix."""
    global _is_prepared
    app = current()
    if not _is_prepared:
        async with _preparing:
            if not _is_prepared:
                await app.clients.prepare()
                _is_prepared = True
    return app


async def ready_if_possible(*, timeout: float = 5.0) -> App:
    """Return the process's app, prepared if possible: a recording can be stopped while storage is down.

    `timeout` is how many seconds to wait for the containers to be checked after a cold start.
    """
    with contextlib.suppress(AzureError, TimeoutError):
        async with asyncio.timeout(timeout):
            return await ready()
    return current()


def current() -> App:
    """Return the process's app without any I/O: health must report that storage can't be reached.

    Raises Misconfigured, which says what to fix.
    """
    global _app
    if _app is None:
        settings = read_settings(os.environ)
        traces.start(settings.telemetry, os.environ.get("APPLICATIONINSIGHTS_CONNECTION_STRING"))
        _app = assemble(settings, connect(settings))
    return _app


def surroundings() -> Surroundings:
    """Return what the page must know; where settings are wrong, it says so instead of this app's error."""
    try:
        return current().surroundings
    except Misconfigured:
        return Surroundings(wrong=True)


async def open_app(settings: Settings, *, retries: Mapping[str, Any] = RETRIES) -> App:
    """Wire an app; create the queues and the containers that are missing."""
    clients = connect(settings, retries=retries)
    try:
        await clients.prepare()
    except BaseException:
        await clients.aclose()
        raise
    return assemble(settings, clients)


def connect(settings: Settings, *, retries: Mapping[str, Any] = RETRIES) -> Clients:
    """Open the clients; nothing is sent yet. `retries` are those of Blob Storage."""
    resource = settings.resource()
    accounts = [settings.host_storage, settings.staging_storage, settings.archive_storage]
    accounts += [settings.derived_storage] if settings.keeps_derived else []
    needs_topic_identity = bool(settings.events_topic_endpoint) and settings.events_topic_key is None
    needs_identity = (
        needs_topic_identity or resource.access_key is None or any(one.connection_string is None for one in accounts)
    )
    credential = _identity() if needs_identity else None
    topic_key = settings.events_topic_key.get_secret_value() if settings.events_topic_key else None
    blobs = Blobs(settings, credential, retries=retries)
    account = QueueAccount(settings, credential)
    return Clients(
        blobs=blobs,
        queue_account=account,
        chunk_queue=Queue(account, job.QUEUE),
        chunk_poison=Queue(account, f"{job.QUEUE}-poison"),
        bulk_queue=Queue(account, job.BULK_QUEUE),
        bulk_poison=Queue(account, f"{job.BULK_QUEUE}-poison"),
        event_queue=Queue(account, backlog.QUEUE),
        event_poison=Queue(account, f"{backlog.QUEUE}-poison"),
        index=Index(settings, blobs, credential),
        archive_queue=Queue(account, job.ARCHIVE_QUEUE),
        archive_poison=Queue(account, f"{job.ARCHIVE_QUEUE}-poison"),
        export_queue=Queue(account, job.EXPORT_QUEUE),
        export_poison=Queue(account, f"{job.EXPORT_QUEUE}-poison"),
        join_queue=Queue(account, job.JOIN_QUEUE),
        join_poison=Queue(account, f"{job.JOIN_QUEUE}-poison"),
        erasure_queue=Queue(account, job.ERASURE_QUEUE),
        erasure_poison=Queue(account, f"{job.ERASURE_QUEUE}-poison"),
        holds_queue=Queue(account, job.HOLDS_QUEUE),
        holds_poison=Queue(account, f"{job.HOLDS_QUEUE}-poison"),
        topic=Topic(settings.events_topic_endpoint, topic_key, credential),
        service=_service(settings, resource, credential),
        # Callbacks of the 2021 preview API have no token (docs/acs-contract.md#2021-callbacks).
        callbacks=CallbackAuth(resource, None if settings.uses_preview_2021 else settings.acs_resource_id),
        content=Content(
            resource, credential, extra_hosts=settings.content_hosts, fetches_by_id=settings.uses_preview_2021
        ),
        tokens=_access_tokens(settings),
        credential=credential,
    )


def assemble(settings: Settings, clients: Clients, *, clock: Clock = utc_now) -> App:
    """Wire the stores and the use cases; does no I/O."""
    blobs = clients.blobs
    index = clients.index
    recordings = RecordingStore(blobs, retention=settings.retention, archive_timeout=clients.archive_timeout)
    trail = Trail(blobs, note=index.note, clock=clock)
    claims, endings, calls = StartClaims(blobs), Endings(blobs), CallIds(blobs)
    tombstones, places, erasures = Tombstones(blobs), Places(blobs), ErasureStore(blobs)
    consents = Consents(blobs, clock=clock)
    consent_control = ConsentControl(
        clients.service,
        consents,
        trail,
        endings,
        index,
        required=settings.consent == "required",
        clock=clock,
    )
    classes = retention.parse_classes(settings.retention_classes)
    keeping = KeepingStore(blobs, classes, is_immutable=settings.archive_immutability)
    erased = ErasedRecordings(tombstones, blobs, places, endings, index, keeping, claims)
    follow = Follow(recordings, claims, index, keeping, tombstones)
    held_elsewhere = HeldElsewhere(blobs, recordings, keeping, index)
    blocked = Blocked(blobs, keeping.cases, follow.has_ended, held_elsewhere.cases)
    finder = PersonFinder(recordings, index)
    requests = ErasureRequests(
        erasures,
        recordings,
        tombstones,
        blocked,
        places,
        index,
        trail,
        finder,
        delay=timedelta(hours=settings.erasure_delay_hours),
        clock=clock,
    )
    exports = Exports(
        blobs,
        finder,
        Collector(blobs, recordings, claims, endings, trail, index),
        trail,
        clients.export_queue,
        most=settings.export_others,
        days=settings.export_days,
        is_erased=erasures.has_begun,
        clock=clock,
    )
    changes = KeepingChanges(keeping, follow, trail, erasures.has_begun, clock)
    searches = HoldSearches(blobs, index, clients.holds_queue, changes, trail, clock)
    catalogue = Catalogue(recordings, claims, index, keeping, tombstones, erasures, first_requeue=settings.first_rescue)
    trail_rows = TrailRows(trail, index)
    quarantine = Quarantine(blobs, clients.topic)
    precedence = Precedence()
    event_backlog = Backlog(clients.event_queue, precedence)
    intake = Intake(
        recordings=recordings,
        endings=endings,
        calls=calls,
        index=index,
        quarantine=quarantine,
        backlog=event_backlog,
        bulk=clients.bulk_queue,
        tombstones=tombstones,
        auto_record=_auto_record(settings, clients.service, claims=claims, trail=trail, index=index, clock=clock),
        clock=clock,
    )
    ingest = ChunkIngest(
        blobs,
        recordings,
        tombstones,
        clients.content,
        precedence,
        limits=IngestLimits(
            parallelism=settings.ingest_parallelism,
            largest_block=settings.largest_block,
            first_requeue=settings.first_rescue,
            keep_slow_after=settings.retention * LAST_QUARTER,
        ),
        clock=clock,
    )
    finish = Finish(
        blobs,
        recordings,
        erased,
        endings,
        calls,
        claims,
        consents,
        index,
        keeping,
        Copies(blobs, clients.content, clock=clock),
        SourceCopies(clients.content),
        clients.topic,
        RECHECKS,
        delete_source=settings.delete_source,
        needs_consent=settings.consent == "required",
        clock=clock,
    )
    maker = Maker(blobs, recordings, tombstones, clients.join_queue, clock=clock)
    joining = Joining(blobs, recordings, tombstones, trail, clients.join_queue, maker, clock=clock)
    derived = (joining, exports)
    return App(
        settings=settings,
        clients=clients,
        recordings=recordings,
        trail=trail,
        starts=claims,
        endings=endings,
        calls=calls,
        tombstones=tombstones,
        quarantine=quarantine,
        backlog=event_backlog,
        control=RecordingControl(
            clients.service,
            trail=trail,
            claims=claims,
            endings=endings,
            index=index,
            consents=consent_control,
            tombstones=tombstones,
            classes=classes,
            default_callback_uri=settings.callback_uri(),
            clock=clock,
        ),
        consents=consent_control,
        intake=intake,
        ingest=ingest,
        bulk=BulkIngest(
            ingest, blobs, recordings, clients.bulk_queue, first_requeue=settings.first_rescue, clock=clock
        ),
        archive=finish,
        timer=TimerRun(
            prepare_archive=clients.prepare_archive,
            poison=PoisonQueues(
                clients.chunk_poison,
                clients.bulk_poison,
                clients.event_poison,
                clients.archive_poison,
                clients.join_poison,
                clients.erasure_poison,
                clients.holds_poison,
                clients.export_poison,
                exports_again=clients.export_queue,
                give_up_join=joining.give_up,
                intake=intake,
                quarantine=quarantine,
                hidden_seconds=max(1, round(min(settings.first_rescue.total_seconds(), 60))),
                hidden_after_failure=round(settings.first_rescue.total_seconds()),
            ),
            recordings=recordings,
            review=Review(
                blobs,
                recordings,
                erased,
                claims,
                clients.bulk_queue,
                first_requeue=settings.first_rescue,
                risk_margin=settings.risk_margin,
                rechecks=RECHECKS,
            ),
            unannounced=UnannouncedWatch(
                recordings,
                endings,
                claims,
                index,
                clients.topic,
                retention=settings.retention,
                overdue=timedelta(minutes=settings.unannounced_minutes),
                matches_by_time=settings.uses_preview_2021,
            ),
            hand_over=HandOver(blobs, clients.archive_queue, settings.retention),
            finish=finish,
            erasures=ErasurePlan(erasures, clients.erasure_queue, again=3 * settings.first_rescue),
            consents=consent_control,
            indexing=Indexing(
                index,
                claims,
                endings,
                trail_rows,
                keeping,
                erased.forget_rows,
                retention=settings.retention,
                risk_margin=settings.risk_margin,
                # Keys of rows need a fact of the archive: one that is silent is not waited for much longer.
                seconds=2 * clients.archive_timeout,
            ),
            follow=follow,
            hold_searches=searches,
            ends=RetentionEnds(index, keeping, follow, requests.end_of_retention),
            topic=clients.topic,
            clock=clock,
        ),
        catalogue=catalogue,
        operations=Operations(
            catalogue,
            blobs,
            recordings,
            claims,
            endings,
            index,
            queues=tuple(zip(clients.queues, clients.poison_queues, strict=True)),
            retention=settings.retention,
            risk_margin=settings.risk_margin,
            overdue=timedelta(minutes=settings.unannounced_minutes),
            first_requeue=settings.first_rescue,
            clock=clock,
        ),
        requeue=Requeue(recordings, clients.chunk_queue, trail, first_requeue=settings.first_rescue, clock=clock),
        replay=Replay(intake, clients.chunk_queue, quarantine, trail, clock=clock),
        handout=HandOut(blobs, catalogue, trail),
        keeping=changes,
        hold_searches=searches,
        erasure=requests,
        erase=Erase(
            erasures,
            tombstones,
            ScopeFinder(blobs, recordings, claims, endings, index, keeping, settings.retention, clock, derived),
            Removal(
                *(blobs, places, index, clients.content, TrailEraser(blobs, places, index, trail)),
                derived=derived,
            ),
            blocked,
            places,
            index,
            trail,
            clock,
        ),
        trail_view=TrailView(trail, catalogue, endings, index, clock=clock),
        trail_rows=trail_rows,
        verifier=Verifier(blobs, recordings, trail, clock=clock),
        exports=exports,
        joining=joining,
        reindex=Reindex(recordings, claims, endings, trail, index, keeping, tombstones, erasures, clock),
        health=HealthCheck(blobs, clients.chunk_queue, clients.service),
        surroundings=_surroundings(settings),
    )


def _surroundings(settings: Settings) -> Surroundings:
    ids = (settings.entra_tenant_id, settings.entra_api_id, settings.entra_page_id)
    tenant, api, page = (str(one) if one else None for one in ids)
    return Surroundings(settings.entra_authority, tenant, api, page, settings.runbook_url, settings.media_origins())


def _access_tokens(settings: Settings) -> AccessTokens | None:
    if settings.entra_tenant_id is None or settings.entra_api_id is None:
        return None
    return AccessTokens(settings.entra_authority, settings.entra_tenant_id, settings.entra_api_id)


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
    if settings.uses_preview_2021:
        return Preview2021(resource, credential)
    return CallAutomation(resource, credential, api_version=settings.acs_api_version)


def _auto_record(
    settings: Settings, service: RecordingService, *, claims: StartClaims, trail: Trail, index: Index, clock: Clock
) -> AutoRecord | None:
    if settings.auto_record == "off":
        return None
    return AutoRecord(
        service,
        claims=claims,
        trail=trail,
        index=index,
        callback_uri=settings.callback_uri(),
        # The 2021 preview API takes the conversation id that only a leg's event has, Call Automation a server call id.
        starts_on=CallLegStateChanged if settings.uses_preview_2021 else CallStarted,
        clock=clock,
    )
