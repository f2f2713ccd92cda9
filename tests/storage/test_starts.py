"""recording/storage/starts.py: a start that happens once, whoever asks, how often, and whatever goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from azure.core.exceptions import AzureError

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from recording.app import App
from recording.config.account import StorageAccount
from recording.config.settings import Settings
from recording.control.bodies import RecordingStarted, StartRecording
from recording.errors import BadRequest, Conflict, RecordingError, StartInProgress, Throttled, UpstreamFailed
from recording.model import layout
from recording.model.caller import Caller, RepeatKey
from recording.model.tombstone import Tombstone
from recording.storage.blobs import Blobs
from recording.storage.starts import (
    ClaimedByAnotherRequest,
    HeldClaim,
    PriorStart,
    StartClaim,
    StartClaims,
    StartOutcome,
)
from tests.support.emulator import Control
from tests.support.facts import QUICK, add_fault, body_of, control_with, faults_met, listing, with_blobs, worker
from tests.support.starts import asked, tries

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING = StartRecording()
HEADER = "Repeatability-Request-ID"
BUSY: dict[str, Any] = {"kind": "status", "status": 503}


@pytest_asyncio.fixture
async def call(control: Control) -> str:
    """The conversation id of a call."""
    return str((await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"])


@pytest_asyncio.fixture
async def proxy(azurite: Azurite) -> AsyncIterator[StorageProxy]:
    """A network before storage that can be made to fail."""
    async with StorageProxy(azurite.blob_url, azurite.queue_url, azurite.table_url) as running:
        yield running


@pytest_asyncio.fixture
async def distant(settings: Settings, proxy: StorageProxy) -> AsyncIterator[Blobs]:
    """The storage, with the proxy before it, asked again without pauses."""
    account = StorageAccount.model_validate({"connection_string": proxy.connection_string})
    storage = Blobs(settings.model_copy(update={"archive_storage": account}), retries=QUICK)
    yield storage
    await storage.aclose()


async def start_once(
    app: App,
    call: str,
    body: StartRecording = NOTHING,
    *,
    storage: Blobs | None = None,
    key: str = "one",
    header: str = HEADER,
    **limits: Any,
) -> RecordingStarted:
    """Start a recording, for a caller with a key."""
    there = with_blobs(app, storage) if storage else app
    control = control_with(there, claims=StartClaims(there.clients.blobs, **limits))
    return await control.start(Caller(repeat_key=RepeatKey(header, key)), call, body)


def writes(suffix: str) -> dict[str, str]:
    """Match the writes of one kind of fact."""
    return {"method": "PUT", "path": f"*-{suffix}.json"}


async def test_a_start_at_once_from_everywhere_happens_once(
    app: App, settings: Settings, control: Control, call: str
) -> None:
    """Twenty at once, by five clients of storage: one start, and its id for whoever is answered, even later."""
    storages = [Blobs(settings) for _ in range(5)]

    answers = await asyncio.gather(
        *(start_once(app, call, storage=storages[n % 5]) for n in range(20)), return_exceptions=True
    )
    [recording] = (await control.call("GET", "recordings"))["recordings"]
    await app.clients.service.stop(call, recording["recordingId"])
    later = [await start_once(app, call, storage=storage) for storage in storages]
    for storage in storages:
        await storage.aclose()

    failed = [one for one in answers if isinstance(one, BaseException)]
    ids = {one.recording_id for one in (*answers, *later) if not isinstance(one, BaseException)}
    assert [] == [one for one in failed if not isinstance(one, StartInProgress)]
    assert ({recording["recordingId"]}, 1, ["started"]) == (ids, await asked(control), await tries(app))


@pytest.mark.parametrize("header", [HEADER, "Idempotency-Key"])
@pytest.mark.parametrize("outcome", ["started", "given_back", None])
async def test_a_key_belongs_to_one_request(app: App, control: Control, call: str, outcome: Any, header: str) -> None:
    """Another conversation, callback or context under the same key is a 400 that names the header."""
    mine = StartClaim(owner="x", conversation_id=call, request="0" * 64, at=datetime.now(UTC))
    await app.starts.claim("repeatable one", mine)
    if outcome:
        known = StartOutcome(result=outcome, recording_id="abc", at=NOW)
        await app.starts.record_outcome(HeldClaim("repeatable one", 1), known)

    for body in (NOTHING, StartRecording(operation_context="x")):
        with pytest.raises(BadRequest) as refused:
            await start_once(app, call, body, header=header)
        assert (header, 400) == (refused.value.target, refused.value.http_status)

    assert 0 == await asked(control)


async def test_a_repeat_brings_nothing_of_an_erased_recording_back(app: App, call: str) -> None:
    """It is answered with the id; its start is on record nowhere, and it is not in the list of what is live."""
    body = StartRecording(operation_context="claim 4711")
    recording_id = (await start_once(app, call, body)).recording_id
    stone = Tombstone(erasure=layout.key_digest("x"), at=NOW, reason="objection")
    await app.tombstones.write(stone.model_copy(update={"recordings": (layout.recording_digest(recording_id),)}))
    await app.clients.blobs.delete("archive", layout.started_blob(recording_id))
    await app.clients.index.forget_live(recording_id)
    before = await listing(app.settings, "archive")

    assert recording_id == (await start_once(app, call, body)).recording_id

    [name] = (await listing(app.settings, "archive")).keys() - before.keys()
    entry = await body_of(app.settings, "archive", name)
    assert ("start", "ok", stone.erasure) == (entry["operation"], entry["outcome"], entry["erasure"])
    assert not {"recordingId", "conversationId", "operationContext"} & entry.keys()
    assert [] == await app.clients.index.live()


async def test_a_repeat_writes_the_fact_that_a_killed_start_has_not(app: App, call: str) -> None:
    """The outcome was on record already. Once the fact is there, a repeat adds no row: the recording may have ended."""
    recording_id = (await start_once(app, call)).recording_id
    await app.clients.blobs.delete("archive", layout.started_blob(recording_id))
    await app.clients.index.forget_live(recording_id)

    await start_once(worker(app), call)
    assert [recording_id] == [one.recording_id for one in await app.clients.index.live()]
    assert call == await worker(app).starts.conversation_of(recording_id)
    await app.clients.index.forget_live(recording_id)
    await start_once(app, call)

    assert [] == await app.clients.index.live()


async def test_other_keys_are_other_starts(app: App, control: Control) -> None:
    """Keys are distinguished to the last character, and none becomes part of a blob's name."""
    calls = [(await control.call("POST", "calls", {"participants": ["Ada"]}))["conversationId"] for _ in range(3)]
    keys = ["../../x", "../../X", "ü 😀 %2F?#"]

    ids = [(await start_once(app, one, key=key)).recording_id for key, one in zip(keys, calls, strict=True)]

    names = {n for n in await listing(app.settings, "archive") if n.startswith("starts/")}
    assert (3, 6) == (len(set(ids)), len(names))
    assert {layout.claim_blob(f"repeatable {key}", 1) for key in keys} <= names


async def test_a_claim_whose_owner_died_is_taken_over_by_exactly_one(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """Before 60 s nobody gets it; then one of ten does, the others wait for that one, and the log says so."""
    await app.starts.claim("x", StartClaim(owner="dead", conversation_id="c", at=NOW))

    async def take(number: int, after: float) -> Any:
        at = NOW + timedelta(seconds=after)
        return await app.starts.claim("x", StartClaim(owner=str(number), conversation_id="c", at=at))

    early = await asyncio.gather(*(take(n, 59.9) for n in range(10)), return_exceptions=True)
    late = await asyncio.gather(*(take(n, 60.1) for n in range(10)), return_exceptions=True)

    assert [StartInProgress] * 10 == [type(one) for one in early]
    assert ([HeldClaim("x", 2)], 9) == (
        [one for one in late if isinstance(one, HeldClaim)],
        len([one for one in late if isinstance(one, StartInProgress)]),
    )
    assert {layout.claim_blob("x", 1)} == {
        json.loads(r.message.partition(" ")[2])["claim"] for r in caplog.records if "start.taken_over" in r.message
    }


async def test_the_first_word_on_a_try_stands(app: App) -> None:
    """An outcome is never overwritten, and a late one of a try that was given up is what a repeat gets."""
    held = await app.starts.claim("x", StartClaim(owner="slow", conversation_id="c", at=NOW))
    assert isinstance(held, HeldClaim)
    later = StartClaim(owner="next", conversation_id="c", at=NOW + timedelta(minutes=2))
    assert HeldClaim("x", 2) == await app.starts.claim("x", later)

    for recording_id in ("first", "second"):
        await app.starts.record_outcome(held, StartOutcome(result="started", recording_id=recording_id, at=NOW))

    found = await app.starts.claim("x", later.model_copy(update={"owner": "third"}))
    assert isinstance(found, PriorStart)
    assert ("slow", "first") == (found.claim.owner, found.outcome.recording_id)
    with pytest.raises(ClaimedByAnotherRequest):
        await app.starts.claim("x", later.model_copy(update={"request": "another"}))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 503}, Throttled),
        ({"kind": "status", "status": 429}, Throttled),
        ({"kind": "status", "status": 500}, UpstreamFailed),
        ({"kind": "refuse"}, UpstreamFailed),
        ({"kind": "reset"}, UpstreamFailed),
    ],
)
async def test_a_start_that_failed_is_given_back(
    app: App, control: Control, call: str, fault: dict[str, Any], error: type[RecordingError]
) -> None:
    """The caller learns what failed, and the next try starts at once."""
    await control.call("POST", "faults", {"method": "POST", "path": "/conversations/*", **fault})

    with pytest.raises(error):
        await start_once(app, call)
    assert ["given_back"] == await tries(app)
    started = await start_once(app, call)

    assert started == await start_once(app, call)
    assert (["given_back", "started"], 2) == (await tries(app), await asked(control))


async def test_a_lost_answer_of_acs_is_no_second_recording(app: App, control: Control, call: str) -> None:
    """The id is then unknown; the repeat is answered that the call is being recorded."""
    await control.call("POST", "faults", {"method": "POST", "path": "/conversations/*", "kind": "lostAnswer"})

    with pytest.raises(UpstreamFailed):
        await start_once(app, call)
    with pytest.raises(Conflict):
        await start_once(app, call)

    assert 1 == len((await control.call("GET", "recordings"))["recordings"])


@pytest.mark.parametrize("kind", ["claim", "outcome"])
@pytest.mark.parametrize("fault", [{"kind": "lostAnswer"}, BUSY], ids=["lost", "refused"])
async def test_a_fact_whose_answer_is_lost_is_still_ours(
    app: App, control: Control, call: str, proxy: StorageProxy, distant: Blobs, kind: str, fault: Any
) -> None:
    """The client writes again and is answered that it exists: the client's own write."""
    add_fault(proxy, **fault, **writes(kind))

    started = await start_once(app, call, storage=distant)

    assert started == await start_once(app, call)
    assert (1, 1, ["started"]) == (faults_met(proxy), await asked(control), await tries(app))


async def test_an_outcome_that_cannot_be_written_is_logged_and_the_answer_stays_true(
    app: App,
    control: Control,
    call: str,
    proxy: StorageProxy,
    distant: Blobs,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The caller gets the id; a repeat has to wait, and is then answered that the call is being recorded."""
    add_fault(proxy, **BUSY, **writes("outcome"), times=100)

    started = await start_once(app, call, storage=distant, timeout=1.5)
    with pytest.raises(StartInProgress):
        await start_once(app, call)
    with pytest.raises(Conflict):
        await start_once(app, call, life=timedelta(0))

    [line] = [r.message for r in caplog.records if r.message.startswith("start.outcome_not_written ")]
    assert started.recording_id == json.loads(line.partition(" ")[2])["outcome"]["recordingId"]
    assert any(r.message.startswith("start.taken_over ") for r in caplog.records)
    assert ["claim", "given_back"] == await tries(app)
    [recording] = (await control.call("GET", "recordings"))["recordings"]
    assert started.recording_id == recording["recordingId"]


async def test_a_claim_that_cannot_be_given_back_does_not_hide_what_failed(
    app: App, control: Control, call: str, proxy: StorageProxy, distant: Blobs
) -> None:
    """The caller gets the answer of ACS, and how long to wait."""
    add_fault(proxy, **BUSY, **writes("outcome"), times=100)
    rule = {"method": "POST", "path": "/conversations/*", "kind": "status", "status": 429, "retryAfter": "17"}
    await control.call("POST", "faults", rule)

    with pytest.raises(Throttled) as failed:
        await start_once(app, call, storage=distant, timeout=1.5)

    assert ("17", ["claim"]) == (failed.value.retry_after, await tries(app))


async def test_without_a_claim_nothing_is_started(
    app: App, settings: Settings, control: Control, call: str, proxy: StorageProxy
) -> None:
    """Storage that is away or busy for good: ACS is not asked, and the caller is answered in time."""
    add_fault(proxy, **BUSY, **writes("claim"), times=100)
    account = StorageAccount.model_validate({"connection_string": proxy.connection_string})
    busy = Blobs(settings.model_copy(update={"archive_storage": account}))  # it pauses before it asks again
    nowhere = Blobs(settings.model_copy(update={"archive_container": "nowhere"}))

    with pytest.raises(AzureError):
        await start_once(app, call, storage=nowhere, timeout=0.5)
    with pytest.raises(TimeoutError):
        await start_once(app, call, storage=busy, timeout=0.5)
    for storage in (nowhere, busy):
        await storage.aclose()

    assert 0 == await asked(control)


async def test_a_caller_that_goes_away_gives_its_claim_back(app: App, control: Control, call: str) -> None:
    """What is broken off while ACS is asked is on record as not known to have started."""
    rule = {"method": "POST", "path": "/conversations/*", "kind": "hang", "seconds": 0.3}
    await control.call("POST", "faults", rule)
    running = asyncio.ensure_future(start_once(app, call))
    async with asyncio.timeout(10):
        while not await tries(app):
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.wait([running])

    [name] = [name for name in await listing(app.settings, "archive") if name.endswith("-outcome.json")]
    outcome = StartOutcome.model_validate(await body_of(app.settings, "archive", name))
    assert ("given_back", "CancelledError", None) == (outcome.result, outcome.reason, outcome.recording_id)
