"""What can happen to recordings that are kept and erased, in orders that hypothesis thinks of."""

import contextlib
import hashlib
import json
import re
from asyncio import Runner, gather
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from local.acs.server import Emulator, Options
from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from local.storage_versions import Keeping
from recording import app as bootstrap
from recording.app import App, assemble
from recording.config.settings import read_settings
from recording.erasing.requests import EraseRecording
from recording.errors import NotFound, RecordingError
from recording.model.caller import Caller
from recording.model.job import ChunkJob, ErasureJob
from recording.model.roles import Principal
from recording.storage.queues import Queue
from tests.keeping.worlds import CLASSES, lift, place, retain
from tests.support.emulator import Control, file_event
from tests.support.erasures import KilledBlobs
from tests.support.facts import receive, run_timer, with_blobs
from tests.support.faults import Killed
from tests.support.source import close

ERASER = Caller(
    "Margaret", principal=Principal("person", "object-of-margaret", "Margaret", frozenset({"Recordings.Erase"}))
)
ARCHIVE, STAGING, QUARANTINE = "kept-archive", "kept-staging", "kept-quarantine"
FOLDER = re.compile(r"\d{4}/\d\d/\d\d/(?P<key>[^/]+)/.+")
PLACED = re.compile(r"holds/\d{4}/\d\d/\d\d/(?P<key>[^/]+)/[0-9a-f]{64}/\d{5}-placed\.json")
# Facts that lie outside a recording's folder.
BESIDE = ("facts", "facts of the trail")
which, cases, kills = st.integers(0, 2), st.sampled_from(["case 1", "case 2"]), st.integers(1, 40)


def digest(key: str) -> str:
    """Name the erasure of a recording, as documented."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass
class Look:
    """What storage has, by recording key: the names in its folder, which are on hold, which have a certificate."""

    files: dict[str, set[str]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def certificates(self, key: str) -> list[str]:
        """Name the certificates of a recording."""
        return sorted(one for one in self.names if one.startswith(f"erasures/{digest(key)}/") and "certificate" in one)

    def has_record(self, key: str) -> bool:
        """Return whether there is a tombstone, and the fact that an erasure has begun."""
        is_asked = any(one.startswith(f"erasures/{digest(key)}/") for one in self.names)
        return f"tombstones/{digest(key)}.json" in self.names and is_asked


class World:
    """An app with all of its surroundings, on a loop of its own, and a clock that is moved."""

    def __init__(self, azurite: Azurite) -> None:
        self.azurite = azurite
        self.exits = contextlib.AsyncExitStack()
        self.now = datetime.now(UTC)
        self.events: list[dict[str, Any]] = []
        self.jobs: list[ChunkJob] = []
        self.keys: list[str] = []

    async def open(self, number: int) -> None:
        enter = self.exits.enter_async_context
        acs = await enter(Emulator(Options(announce_delay_seconds=0.0)))
        self.proxy = await enter(StorageProxy(self.azurite.blob_url, self.azurite.queue_url, self.azurite.table_url))
        names = {"ARCHIVE": ARCHIVE, "STAGING": STAGING, "QUARANTINE": QUARANTINE}
        self.container = f"{ARCHIVE}-{number}"
        self.proxy.versioned.keeping = Keeping(containers=self.container, permanentDelete=True)
        self.proxy.versioned.clock = lambda: self.now
        environment = {
            "AzureWebJobsStorage": self.azurite.connection_string,
            "STAGING_STORAGE": self.proxy.connection_string,
            "ARCHIVE_STORAGE": self.proxy.connection_string,
            "ACS_CONNECTION_STRING": acs.connection_string,
            "ACS_API_VERSION": "2021-04-15-preview1",
            "RETENTION_CLASSES": CLASSES,
            "ARCHIVE_IMMUTABILITY": "true",
            **{f"{name}_CONTAINER": f"{container}-{number}" for name, container in names.items()},
        }
        built = await bootstrap.open_app(read_settings(environment))
        self.exits.push_async_callback(close, built)
        self.app = assemble(built.settings, built.clients, clock=lambda: self.now)
        self.control = Control(acs.endpoint, await enter(aiohttp.ClientSession()))
        self.direct = await enter(BlobServiceClient.from_connection_string(self.proxy.connection_string))
        for queue in (self.app.clients.archive_queue, self.app.clients.erasure_queue):
            await drained(queue)

    async def dying(self, writes: int, act: Callable[[App], Awaitable[Any]]) -> None:
        """Do something in a process that is killed after so many writes."""
        dying = KilledBlobs(self.app.settings, kill_after=writes)
        with contextlib.suppress(Killed, BaseExceptionGroup, RecordingError):
            await act(with_blobs(self.app, dying))
        await dying.aclose()

    async def timer(self, app: App) -> None:
        """Run the timer, and what it has queued."""
        for key in await self.due(app):
            await app.erase.run(key)

    async def due(self, app: App) -> list[str]:
        """Run the timer; return what it has queued to be erased."""
        await run_timer(app, now=self.now)
        return [ErasureJob.from_message(text).recording_key for text in await drained(app.clients.erasure_queue)]

    async def rows(self) -> set[str]:
        """Return the recordings that the search index shows."""
        return {key async for key, _ in self.app.clients.index.recording_keys()}

    async def look(self) -> Look:
        """List the archive."""
        found = Look()
        found.names = {name async for name in self.direct.get_container_client(self.container).list_blob_names()}
        for name in found.names:
            if folder := FOLDER.fullmatch(name):
                found.files.setdefault(folder["key"], set()).add(name)
            elif (hold := PLACED.fullmatch(name)) and name.replace("-placed", "-lifted") not in found.names:
                found.held.add(hold["key"])
        return found

    async def certificate(self, name: str) -> Any:
        """Read a certificate."""
        return json.loads(await (await self._archive.download_blob(name)).readall())

    async def everything(self, key: str) -> list[str]:
        """List what the account still has of a recording's folder: versions, and what is soft-deleted."""
        folder = f"{key[:4]}/{key[4:6]}/{key[6:8]}/{key}/"
        return [one.name async for one in self._archive.list_blobs(folder, include=["versions", "deleted"])]

    @property
    def _archive(self) -> ContainerClient:
        return self.direct.get_container_client(self.container)


async def drained(queue: Queue) -> list[str]:
    """Remove the messages of a queue, and return them."""
    found = []
    with contextlib.suppress(ResourceNotFoundError):
        async for message in queue.receive(limit=32, hidden_seconds=30):
            found.append(message.text)
            await queue.delete(message)
    return found


class AnyOrder(RuleBasedStateMachine):
    """What may happen; after each step everything is looked at."""

    azurite: Azurite
    number = 0

    def __init__(self) -> None:
        super().__init__()
        AnyOrder.number += 1
        self.runner = Runner()
        self.world = World(self.azurite)
        self.run(self.world.open(AnyOrder.number))
        self.before = Look()

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(what)

    def do(self, what: Coroutine[Any, Any, Any]) -> None:
        """Do a step, which may be refused, and look."""
        with contextlib.suppress(RecordingError):
            self.run(what)
        self.run(self.check())

    @rule()
    @precondition(lambda self: len(self.world.keys) < 3)
    def record(self) -> None:
        """A recording comes, and is archived."""

        async def act() -> None:
            recording = await self.world.control.recording(1000)
            event = file_event(
                recording, event_id=f"event-{len(self.world.keys)}", eventTime=self.world.now.isoformat()
            )
            jobs = await receive(self.world.app, event, now=self.world.now)
            self.world.events.append(event)
            self.world.jobs += jobs
            self.world.keys.append(jobs[0].recording_key)
            await self.world.app.ingest.run(jobs[0])
            await self.world.timer(self.world.app)

        self.do(act())

    @rule(which=which, case=cases, kill=st.none() | kills)
    @precondition(lambda self: self.world.keys)
    def hold(self, which: int, case: str, kill: int | None) -> None:
        """A case holds a recording."""
        self.act(lambda app: place(app, self.key(which), case), kill)

    @rule(which=which, case=cases)
    @precondition(lambda self: self.world.keys)
    def lift(self, which: int, case: str) -> None:
        """A case lifts its hold."""
        self.act(lambda app: lift(app, self.key(which), case))

    @rule(which=which, name=st.sampled_from(["brief", "court", "history"]), kill=st.none() | kills)
    @precondition(lambda self: self.world.keys)
    def retain(self, which: int, name: str, kill: int | None) -> None:
        """A recording gets another class."""
        self.act(lambda app: retain(app, self.key(which), name), kill)

    @rule(which=which, kill=st.none() | kills)
    @precondition(lambda self: self.world.keys)
    def ask(self, which: int, kill: int | None) -> None:
        """Somebody asks for an erasure."""
        body = EraseRecording(reason="not-needed", text="asked by the person")
        self.act(lambda app: app.erasure.ask(ERASER, self.key(which), body), kill)

    @rule(which=which)
    @precondition(lambda self: self.world.keys)
    def call_off(self, which: int) -> None:
        """It is called off."""
        self.act(lambda app: app.erasure.call_off(ERASER, self.key(which)))

    @rule(which=which, days=st.sampled_from([0, 0, 2, 100]), kill=st.none() | kills)
    def timer(self, which: int, days: int, kill: int | None) -> None:
        """Time goes by, and the timer runs; what it queues is done."""
        self.world.now += timedelta(days=days, hours=30 if days else 1)
        self.act(self.world.timer, kill)

    @rule(which=which, case=cases)
    @precondition(lambda self: self.world.keys)
    def hold_while_two_processes_erase(self, which: int, case: str) -> None:
        """A case places a hold at the moment when two processes have the message of one erasure."""

        async def act(app: App) -> None:
            self.world.now += timedelta(hours=30)
            key, other = self.key(which), assemble(app.settings, app.clients, clock=lambda: self.world.now)
            keys = await self.world.due(app)

            async def hold() -> None:
                with contextlib.suppress(RecordingError):
                    await place(app, key, case)
                    # From here on nothing of it may be gone, whatever the erasure was about to do.
                    self.before.held.add(key)

            await gather(hold(), *(process.erase.run(one) for process in (app, other) for one in keys))

        self.act(act)

    @rule(which=which)
    @precondition(lambda self: self.world.keys)
    def event_comes_again(self, which: int) -> None:
        """An event that was replayed, dead-lettered or late; and a job that is delivered again."""

        async def act(app: App) -> None:
            number = which % len(self.world.keys)
            jobs = await receive(app, self.world.events[number], now=self.world.now)
            for job in [*jobs, self.world.jobs[number]]:
                await app.ingest.run(job, is_redelivered=True)

        self.act(act)

    def key(self, which: int) -> str:
        return self.world.keys[which % len(self.world.keys)]

    def act(self, what: Callable[[App], Awaitable[Any]], kill: int | None = None) -> None:
        async def undisturbed() -> None:
            await what(self.world.app)

        self.do(undisturbed() if kill is None else self.world.dying(kill, what))

    async def check(self) -> None:
        before, now = self.before, await self.world.look()
        for key in self.world.keys:
            had, has = before.files.get(key, set()), now.files.get(key, set())
            if key in before.held and key in now.held:
                assert had <= has, f"on hold, and deleted: {had - has}"
            if before.certificates(key):
                assert not has, f"erased, and back: {has}"
            if had - has:
                assert now.has_record(key), f"deleted without a record: {had - has}"
            for name in {*now.certificates(key)} - {*before.certificates(key)}:
                said = await self.world.certificate(name)
                left = [one for one in said["left"] if one["place"] == "archive"]
                there = {digest(name) for name in await self.world.everything(key)}
                # Beside the folder a hold may have come and gone meanwhile: that is listed again two hours later.
                listed = {one["digest"] for one in left if one["kind"] not in BESIDE}
                assert listed == there, f"the certificate says {left}, and there is {there}"
        self.before = now

    async def end(self) -> None:
        """Let everything come to its end, and look once more."""
        for _ in range(3):
            self.world.now += timedelta(hours=30)
            await self.world.timer(self.world.app)
            await self.check()
        staging = self.world.direct.get_container_client(f"{STAGING}-{AnyOrder.number}")
        staged, rows = [name async for name in staging.list_blob_names()], await self.world.rows()
        for key in self.world.keys:
            is_erased = bool(self.before.certificates(key))
            assert is_erased == (not self.before.files.get(key)), f"half erased: {self.before.files.get(key)}"
            if is_erased:
                assert not [name for name in staged if key in name]
                assert key not in rows, "erased, and still listed"
                with contextlib.suppress(NotFound):
                    raise AssertionError(await self.world.app.catalogue.get(key))

    def teardown(self) -> None:
        try:
            self.run(self.end())
        finally:
            self.run(self.world.exits.aclose())
            self.runner.close()


def try_orders(azurite: Azurite, examples: int, steps: int) -> None:
    """Try so many orders of so many steps; few are the same ones in each run."""
    AnyOrder.azurite = azurite
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=examples <= 10,
            suppress_health_check=list(HealthCheck),
        ),
    )
