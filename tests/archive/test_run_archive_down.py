"""recording/archive/run.py: while the archive is unavailable, chunks are still staged, and are safe there."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from aiohttp import web
from azure.core.exceptions import ServiceResponseError

from local.acs.server import DEVELOPMENT_KEY
from recording import app as bootstrap
from recording.app import App, assemble
from recording.config.settings import read_settings
from recording.model import layout
from tests.support.archives import HOUR, errors
from tests.support.emulator import Control
from tests.support.facts import announce, listing, put, run_timer, stage, sweep, with_blobs
from tests.support.faults import FaultyBlobs
from tests.support.source import serve

MINUTE = timedelta(minutes=1)
# Recordings that a run reviews at once.
AT_ONCE = 8


@dataclass
class Down:
    """An account that answers nothing, or "you may not"; `asked` are the requests that reached it."""

    hangs: bool
    address: str = ""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Don't serve a request."""
        self.asked.append(request.path)
        if self.hangs:
            await asyncio.sleep(60)
        return web.Response(status=403, headers={"x-ms-error-code": "AuthorizationPermissionMismatch"})


@asynccontextmanager
async def without_archive(environment: dict[str, str], address: str) -> AsyncIterator[App]:
    """Build the app whose archive's account is at an address where there is none."""
    account = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={DEVELOPMENT_KEY};BlobEndpoint={address}/a;"
    settings = read_settings(environment | {"ARCHIVE_STORAGE": account})
    clients = replace(bootstrap.connect(settings), archive_timeout=0.5)
    try:
        await clients.prepare()
        yield assemble(settings, clients)
    finally:
        await clients.aclose()


@pytest_asyncio.fixture(params=["refuses", "forbids", "hangs"])
async def down(request: pytest.FixtureRequest) -> AsyncIterator[Down]:
    """The ways in which an account can be down."""
    account = Down(hangs=request.param == "hangs")
    async with serve(account.answer) as account.address:
        if request.param == "refuses":
            account.address = "http://127.0.0.1:9"
        yield account


async def test_chunks_are_safe_in_staging_meanwhile(
    environment: dict[str, str],
    control: Control,
    down: Down,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """From a cold start on; once the archive is back, the timer makes its container and archives what waits."""
    recording = await control.recording(1000, 2000)
    async with without_archive(environment, down.address) as app:
        [job, _] = await stage(app, recording)
        report = await sweep(app)

        assert "archive.not_prepared" in errors(caplog)
        assert ([job.recording_key], []) == (report.failed, report.archived)
        assert {chunk["sha256"] for chunk in recording["chunks"]} <= {
            *(await listing(app.settings, "staging")).values()
        }

    settings = read_settings(environment)
    app = assemble(settings, bootstrap.connect(settings))
    try:
        await app.clients.prepare_archive()
        assert [job.recording_key] == (await sweep(app)).archived
    finally:
        await app.aclose()


async def test_what_is_missing_is_tried_and_reported_meanwhile(
    environment: dict[str, str], control: Control, down: Down, caplog: pytest.LogCaptureFixture
) -> None:
    """However many recordings are in flight: an archive that doesn't answer isn't asked for each of them."""
    caplog.set_level(logging.INFO, "recording")
    many = 3 * AT_ONCE
    async with without_archive(environment, down.address) as app:
        jobs = [(await announce(app, await control.recording(500), event_id=f"e{n}"))[0] for n in range(many)]
        before = len(down.asked)

        report = await sweep(app, now=datetime.now(UTC) + 44 * HOUR, budget_seconds=30, parallelism=AT_ONCE)

    assert ({job.again() for job in jobs}, many, 0) == (
        {*report.jobs},
        errors(caplog).count("chunk.at_risk"),
        report.not_reached,
    )
    ran = next(r.message for r in caplog.records if r.message.startswith("archive.ran"))
    assert many == json.loads(ran.partition(" ")[2])["chunksInFlight"]
    if down.hangs:
        assert len(down.asked) - before < many


async def test_one_recording_whose_archive_is_silent_costs_no_other_its_archive(app: App, control: Control) -> None:
    """A request that was unlucky isn't the account: those looked at after it are archived in the same run."""
    jobs = [(await stage(app, await control.recording(500), event_id=f"e{n}"))[0] for n in range(3)]

    unlucky = FaultyBlobs(app.settings)
    unlucky.on("read", name=f"^archive/.*{jobs[0].recording_key}", raises=ServiceResponseError("no answer"))
    report = await run_timer(with_blobs(app, unlucky), now=datetime.now(UTC))
    await unlucky.aclose()

    assert ([jobs[0].recording_key], {job.recording_key for job in jobs[1:]}) == (report.failed, {*report.archived})


async def test_a_manifest_that_cannot_be_read_costs_no_chunk_its_try(app: App, control: Control) -> None:
    """What is missing is still queued again, and fetched."""
    [job] = await announce(app, await control.recording(1000))
    await put(app.settings, "archive", layout.manifest_blob(job.recording_key), b"{")

    report = await sweep(app, now=datetime.now(UTC) + 16 * MINUTE)
    await app.ingest.run(job)

    assert ([job.again()], [job.recording_key]) == (report.jobs, report.failed)
    assert job.content_blob in await listing(app.settings, "staging")
