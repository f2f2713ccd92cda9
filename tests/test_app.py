"""recording/app.py: settings become clients, once per process, on first use."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web
from azure.core.exceptions import AzureError
from azure.identity.aio._credentials import default

from local.azurite import Azurite
from recording import app as bootstrap
from recording import urls
from recording.acs.call_automation import CallAutomation
from recording.acs.preview_2021 import Preview2021
from recording.config.settings import Settings, read_settings
from recording.control.bodies import Operation, StartRecording
from recording.errors import Misconfigured, SourceGone, Unauthorized
from recording.model.caller import Caller
from recording.model.stored import Container
from tests.support.big import jobs_of
from tests.support.deployment import app_settings
from tests.support.emulator import Control
from tests.support.facts import listing, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.source import serve

ROOT = Path(__file__).parents[1]
CONTAINERS: tuple[Container, ...] = ("staging", "archive", "quarantine")


@pytest_asyncio.fixture
async def process(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A process that has built nothing yet, with the settings in its environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bootstrap, "_app", None)
    monkeypatch.setattr(bootstrap, "_is_prepared", False)
    monkeypatch.setattr(bootstrap, "_preparing", asyncio.Lock())
    yield
    if bootstrap._app is not None:
        await bootstrap._app.aclose()


@pytest.mark.usefixtures("process")
async def test_the_app_is_built_once() -> None:
    """However many functions ask at the same time."""
    first, *others = await asyncio.gather(*(bootstrap.ready() for _ in range(10)))

    assert [True] * 9 == [other is first for other in others]
    assert first is bootstrap.current()


async def test_every_use_case_has_the_clock_of_the_app(settings: Settings, control: Control) -> None:
    """What control, intake, ingest and the timer write has the time of one clock."""
    now = datetime(2026, 3, 1, 10, tzinfo=UTC)
    clients = bootstrap.connect(settings)
    await clients.prepare()
    app = bootstrap.assemble(settings, clients, clock=lambda: now)
    try:
        placed = await control.call("POST", "calls", {"participants": ["Ada"]})
        started = await app.control.start(Caller(), placed["conversationId"], StartRecording())
        await app.control.stop(Caller(), placed["conversationId"], started.recording_id, Operation())
        await app.intake.receive("not JSON")

        ending = await app.endings.find(started.recording_id)
        assert ending is not None
        assert now == ending.at
        assert [f"{now:%Y/%m/%d}"] == [name.rpartition("/")[0] for name in await listing(settings, "quarantine")]
        assert now == app.timer.clock()
    finally:
        await app.aclose()


@pytest.mark.usefixtures("process")
async def test_storage_that_was_down_is_found_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first use that fails can be repeated; the clients are the same, so none is left open."""
    unprepared = bootstrap.current()
    await unprepared.clients.blobs.aclose()
    blobs = FaultyBlobs(unprepared.settings).on("create_containers", raises=ConnectionError, times=1)
    first = with_blobs(unprepared, blobs)
    monkeypatch.setattr(bootstrap, "_app", first)

    with pytest.raises(ConnectionError):
        await bootstrap.ready()

    assert first is await bootstrap.ready()
    assert [{}, {}, {}] == [await listing(first.settings, where) for where in CONTAINERS]


async def test_a_proxy_that_the_environment_names_is_asked(
    azurite: Azurite, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clients of storage and by that of the chunks; where none is named, no request looks for one."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.url.authority)
        return web.Response(status=404)

    async with serve(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        urls.names_proxy.cache_clear()
        clients = bootstrap.connect(settings)
        urls.names_proxy.cache_clear()
        [chunk] = jobs_of(1, datetime.now(UTC))
        try:
            for request in (
                *(clients.blobs.read("staging", "x"), clients.chunk_queue.depth()),
                *(clients.index.last_run(), clients.content.metadata(chunk)),
            ):
                with contextlib.suppress(AzureError, SourceGone):
                    await request
        finally:
            await clients.aclose()

    storage = [urlsplit(address).netloc for address in (azurite.blob_url, azurite.queue_url, azurite.table_url)]
    assert [*storage, settings.resource().authority] == asked


async def test_what_is_missing_is_created(settings: Settings) -> None:
    """Containers and queue are there after the first use, and building again is no error."""
    for _ in range(2):
        app = await bootstrap.open_app(settings)
        await app.clients.chunk_queue.depth()
        await app.aclose()

    assert [{}, {}, {}] == [await listing(settings, where) for where in CONTAINERS]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2021-04-15-preview1", Preview2021), ("", CallAutomation), ("2024-09-15", CallAutomation)],
)
async def test_which_api_is_spoken(
    environment: dict[str, str], version: str, expected: type[Preview2021 | CallAutomation]
) -> None:
    """The Call Automation API, unless the settings select the 2021 preview API."""
    clients = bootstrap.connect(read_settings(environment | {"ACS_API_VERSION": version}))
    await clients.aclose()

    assert expected is type(clients.service)


@pytest.mark.parametrize(("version", "passes"), [("2021-04-15-preview1", True), ("", False)])
async def test_whose_callbacks_must_bear_a_token(environment: dict[str, str], version: str, passes: bool) -> None:
    """Those of the Call Automation API, if the resource's id is set; those of the 2021 preview API have no token."""
    more = {"ACS_API_VERSION": version, "ACS_RESOURCE_ID": "29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e2"}
    clients = bootstrap.connect(read_settings(environment | more))
    try:
        with contextlib.nullcontext() if passes else pytest.raises(Unauthorized):
            await clients.callbacks.check(None)
    finally:
        await clients.aclose()


async def test_a_build_that_fails_leaves_nothing_open(environment: dict[str, str]) -> None:
    """Its connections are closed (an open one would be a warning, and warnings fail tests)."""
    wrong = environment["AzureWebJobsStorage"].replace("AccountKey=", "AccountKey=AAAA")

    with pytest.raises(Exception, match="AuthorizationFailure"):
        await bootstrap.open_app(read_settings(environment | {"STAGING_STORAGE": wrong}))


IDENTITY = {"AzureWebJobsStorage__accountName": "contoso", "ACS_ENDPOINT": "https://contoso.communication.azure.com"}


async def test_in_azure_no_other_identity_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the templates set, the credential is the app's own identity alone."""
    client_id = "8c5f7a39-0000-4000-8000-000000000001"
    for name in ("AZURE_TOKEN_CREDENTIALS", "AZURE_CLIENT_ID"):
        monkeypatch.setenv(name, app_settings()[name])
    monkeypatch.setenv("AZURE_CLIENT_ID", client_id)
    clients: list[Any] = []
    monkeypatch.setattr(default, "ManagedIdentityCredential", lambda **options: clients.append(options["client_id"]))

    built = bootstrap.connect(read_settings(IDENTITY))

    assert isinstance(built.credential, default.DefaultAzureCredential)
    assert ([client_id], 1) == (clients, len(built.credential.credentials))


async def test_a_kind_of_credential_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting is named, with what it should be."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentity")

    with pytest.raises(Misconfigured, match="AZURE_TOKEN_CREDENTIALS: must be ManagedIdentityCredential in Azure"):
        bootstrap.connect(read_settings(IDENTITY))


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("name", ["AzureWebJobsStorage", "ACS_CONNECTION_STRING"])
async def test_a_missing_setting_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On first use, not on import; no other setting is shown."""
    monkeypatch.delenv(name)

    with pytest.raises(Misconfigured, match=name) as raised:
        await bootstrap.ready()

    assert "AccountKey" not in raised.value.message


def test_nothing_is_read_or_sent_on_import() -> None:
    """Without a single setting every function is still there to say what is missing."""
    code = "import function_app; print(len(function_app.app.get_functions()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True, timeout=30)

    assert ("67", "") == (done.stdout.strip(), done.stderr)
