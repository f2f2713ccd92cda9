"""recording/catalogue/browse.py: recordings in flight and archived, looked up as one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import azure.functions as func
import pytest
import pytest_asyncio

from local.azurite import Azurite
from recording import app as bootstrap
from recording.api import request
from recording.app import App
from recording.catalogue.browse import ListQuery, RecordingList
from recording.config.settings import read_settings
from recording.errors import BadRequest, NotFound
from recording.model import layout
from tests.support.emulator import Control, file_event
from tests.support.facts import put, receive, stage, sweep
from tests.support.manifests import empty_manifest
from tests.support.source import close, recording_of

# One worker runs them all: each would build the fixture of the module for itself.
pytestmark = pytest.mark.xdist_group("browse")
UNKNOWN = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-00000000000f"
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"


async def page(app: App, **query: str) -> RecordingList:
    """Ask for a page with query parameters as they come."""
    asked = func.HttpRequest("GET", "/", params=query, body=b"")
    return await app.catalogue.page(request.read_query(ListQuery, asked))


async def in_flight(app: App, start: str) -> str:
    """Announce a recording, and return its key."""
    [job] = await receive(app, file_event(recording_of(DOCUMENT) | {"startTime": start}))
    return job.recording_key


async def archived(app: App, start: str) -> str:
    """Put a manifest into the archive, and return its recording's key."""
    call_id = "3f2b0e4c-0000-4000-8000-000000000001"
    key = layout.recording_key(datetime.fromisoformat(start), call_id)
    written = empty_manifest(key, call_id)
    await put(app.settings, "archive", layout.manifest_blob(key), written.model_dump_json(by_alias=True).encode())
    await app.clients.index.write(written)
    return key


# Oldest first: over years, months, days and within one.
STARTS = [
    "2025-12-31T23:59:59Z",
    "2026-01-01T00:00:00Z",
    "2026-02-28T09:00:00Z",
    "2026-02-28T09:00:01Z",
    "2026-02-28T21:00:00Z",
    "2026-03-01T00:00:00Z",
    "2026-11-01T00:00:00Z",
]


@dataclass(frozen=True)
class Listed:
    """An app with recordings that started at STARTS, and their keys, newest first."""

    app: App
    keys: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def listed(azurite: Azurite) -> AsyncIterator[Listed]:
    """Recordings in flight and archived by turns, once for all tests that only read."""
    environment = {
        "AzureWebJobsStorage": azurite.connection_string,
        # Nothing is asked of it.
        "ACS_CONNECTION_STRING": "endpoint=http://127.0.0.1:9;accesskey=YmVuY2htYXJr",
        "ACS_API_VERSION": "2021-04-15-preview1",
        **{f"{one.upper()}_CONTAINER": f"{one}-listed" for one in ("staging", "archive", "quarantine")},
    }
    app = await bootstrap.open_app(read_settings(environment))
    make = (in_flight, archived)
    keys = [await make[number % 2](app, start) for number, start in enumerate(STARTS)]
    yield Listed(app, keys[::-1])
    await close(app)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
async def test_pages_join_without_a_gap(listed: Listed, limit: int) -> None:
    """Newest first, in flight and archived together, each once, whatever the size of a page."""
    found: list[str] = []
    cursor: dict[str, str] = {}

    while True:
        one = await page(listed.app, limit=str(limit), **cursor)
        found += [r.recording_key for r in one.recordings]
        assert len(one.recordings) <= limit
        if one.cursor is None:
            break
        cursor = {"cursor": one.cursor}

    assert listed.keys == found


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ({"from": "2026-02-28T09:00:01Z"}, 0, 4),
        ({"to": "2026-02-28T09:00:01Z"}, 4, 7),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-02-28T21:00:00+00:00"}, 3, 6),
        ({"from": "2026-02-28T22:00:00+01:00", "to": "2026-03-01T01:00:00+02:00"}, 2, 3),
        ({"from": "2027-01-01T00:00:00Z"}, 0, 0),
        ({"to": "0001-01-01T00:00:00Z"}, 0, 0),
        ({"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}, 0, 7),
    ],
)
async def test_a_window_of_time_has_its_start_and_not_its_end(
    listed: Listed, query: dict[str, str], first: int, last: int
) -> None:
    """`from` is included, `to` is not, in any time zone."""
    assert listed.keys[first:last] == [r.recording_key for r in (await page(listed.app, **query)).recordings]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("query", "target"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-03-01T00:00:00"}, "from"),
        ({"to": "9999-12-31T23:59:59-12:00"}, "to"),
        ({"from": "0001-01-01T00:00:00+12:00"}, "from"),
        ({"from": "2026-03-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "to"),
        ({"cursor": "../x"}, "cursor"),
        ({"cursor": "\N{SNOWMAN}" * 4000}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "x" * 5000}, "cursor"),
        ({"participant": ""}, "participant"),
        ({"participant": "x" * 2000}, "participant"),
        ({"conversation": "x"}, "conversation"),
        ({"call": "a/b"}, "call"),
        ({"reference": ""}, "reference"),
        ({"state": "done"}, "state"),
        ({"missing": "perhaps"}, "missing"),
        ({"hold": ""}, "hold"),
    ],
)
async def test_bad_parameters_are_named(listed: Listed, query: dict[str, str], target: str) -> None:
    """A wrong parameter is a 400 that names it."""
    with pytest.raises(BadRequest) as refused:
        await page(listed.app, **query)

    assert target == refused.value.target


async def test_a_recording_is_listed_once_while_it_moves(app: App, control: Control) -> None:
    """In both containers it is one recording, and the archive is right."""
    recording = await control.recording(1000, 2000)
    [job, _] = await stage(app, recording)
    await app.timer.indexing.run([await app.recordings.load(job.recording_key)], datetime.now(UTC))
    before = (await page(app)).recordings
    await sweep(app)
    await receive(app, file_event(recording))

    after = (await page(app)).recordings

    assert [(job.recording_key, "staged", 2, 3000)] == [(r.recording_key, r.state, r.chunks, r.bytes) for r in before]
    assert [(job.recording_key, "archived", 2, 3000)] == [(r.recording_key, r.state, r.chunks, r.bytes) for r in after]


async def test_a_recording_is_found_in_flight_and_archived(app: App, control: Control) -> None:
    """The derived state first, then the manifest."""
    [job] = await stage(app, await control.recording(1000))
    found = []

    for _ in range(2):
        one = await app.catalogue.get(job.recording_key)
        found.append((one.state, one.complete, one.chunks[0].outcome))
        await sweep(app)

    assert [("staged", False, "staged"), ("archived", True, "archived")] == found


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("key", "error"),
    [
        (UNKNOWN, NotFound),
        ("x", BadRequest),
        ("..", BadRequest),
        ("", BadRequest),
        (UNKNOWN + "/", BadRequest),
        ("20261301T100000000000Z-a", BadRequest),
        ("\u0662\u0660260301T100000000000Z-a", BadRequest),
    ],
)
async def test_a_key_that_leads_nowhere_is_refused(listed: Listed, key: str, error: type[Exception]) -> None:
    """Unknown is 404, malformed is 400."""
    with pytest.raises(error):
        await listed.app.catalogue.get(key)
