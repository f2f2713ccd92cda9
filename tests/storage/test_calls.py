"""recording/storage/calls.py: the correlation id of a call's events is in the manifest of its recording."""

import contextlib
import json
from typing import Any

import pytest

from recording.app import App
from recording.model import layout
from tests.support.events import CORRELATION, SERVER_CALL, call_event
from tests.support.facts import put, receive, sweep, with_blobs
from tests.support.faults import FaultyBlobs, Killed
from tests.support.source import storage_host, today, wav

pytestmark = pytest.mark.settings(ACS_API_VERSION="")


@pytest.mark.parametrize("kind", ["CallStarted", "CallEnded"])
async def test_the_correlation_id_is_known_from_either_event(app: App, kind: str) -> None:
    """Whichever comes, however often, padded or not, and in either alphabet."""
    event = call_event(kind)
    known = event["data"]["serverCallId"]
    for _ in range(2):
        await receive(app, event)

    for same in (known, known.rstrip("="), known.translate(str.maketrans("+/", "-_"))):
        assert CORRELATION == await app.calls.correlation_id(same)
    assert await app.calls.correlation_id(f"{known[:-4]}AAAA") is None
    assert await app.calls.correlation_id(None) is None


async def test_a_call_without_a_correlation_id_leaves_nothing(app: App) -> None:
    """The event is accepted anyway."""
    event = call_event("CallStarted")
    await receive(app, event | {"data": event["data"] | {"correlationId": None}})

    assert [] == [blob.name async for blob in app.clients.blobs.list_blobs("archive", "calls/")]


@pytest.mark.parametrize("fact", [None, b"", b"[]", b'{"correlationId": "c-1"}'])
async def test_the_manifest_has_it_if_it_is_known(environment: dict[str, str], fact: bytes | None) -> None:
    """A fact that is missing or can't be read costs the recording nothing."""
    async with storage_host(environment) as (app, host):
        event = today(host.add(wav(1000), {"recordingInfo": {"format": "wav"}}))
        if fact is not None:
            await put(app.settings, "archive", layout.call_blob("c2Nh"), fact)
        for job in await receive(app, event):
            await app.ingest.run(job)
        [key] = (await sweep(app)).archived

        written: Any = json.loads(await app.clients.blobs.read("archive", layout.manifest_blob(key)) or b"")
        assert ("c-1" if fact and b"c-1" in fact else None) == written["correlationId"]


@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_a_kill_at_any_write_of_a_call_event_does_no_harm(app: App, writes: int) -> None:
    """Event Grid delivers an event again that was not answered."""
    dying = FaultyBlobs(app.settings, kill_after=writes)
    with contextlib.suppress(Killed):
        await receive(with_blobs(app, dying), call_event("CallEnded"))
    await dying.aclose()

    await receive(app, call_event("CallEnded"))

    assert await app.calls.correlation_id(SERVER_CALL) == CORRELATION
