"""The whole path from an event to the archive, with what goes wrong on the way."""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.e2e.world import ROOT, WEBHOOK, World, eventually, running

MIB = 1024 * 1024
# More than a worker may grow by; `make acceptance` has chunks as large as the service's largest.
LARGE_MIB = 96
NOTIFICATION = {"aeg-event-type": "Notification"}
# One worker runs them all: each would build the fixture of the module for itself.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("path")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One stack for all tests here: each has a recording of its own in it; the app records the calls that begin."""
    options = ("--setting", "INGEST_BLOCK_MIB=4", "--auto-record", "all")
    async with running(tmp_path_factory.mktemp("path"), *options) as world:
        yield world


async def check_content(world: World, recording: dict[str, Any]) -> None:
    """Compare the archived chunks with what the emulator served."""
    names = await world.names("recordings-archive")
    for chunk in recording["chunks"]:
        [name] = [name for name in names if name.endswith(f"{chunk['documentId']}.mp4")]
        download = await world.blobs.get_blob_client("recordings-archive", name).download_blob()
        content = await download.readall()
        assert (chunk["bytes"], chunk["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def whole(recording: dict[str, Any], events: int = 1) -> int:
    """How many blobs the archive has of a recording: two per chunk, the events, the manifest, its retention class."""
    return 2 * len(recording["chunks"]) + events + 2


async def finish(world: World, made: dict[str, Any]) -> dict[str, Any]:
    """Wait until a recording is archived; give the emulator's word on it."""
    await world.archived(made["callId"])
    return await world.recording(made["recordingId"])


async def test_what_was_never_announced_is_found(world: World) -> None:
    """The command that `up` prints finds a recording that ACS made and no event announced, by two logs alone."""
    lost = await world.make_recording(MIB, announce=False)
    await finish(world, await world.make_recording(2 * MIB, generation="today"))
    process = await asyncio.create_subprocess_exec(
        *world.reconcile,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    rows = [line for line in out.decode().splitlines() if line.endswith(lost["recordingId"])]
    assert ([row.split()[:4] for row in rows], process.returncode) == ([["not", "due", "1", "0"]], 0), out.decode()


async def test_duplicates(world: World) -> None:
    """An event that comes four times at once leaves one recording, whole, archived once."""

    await world.subscribe(duplicates=3, shuffle=True)
    made = await world.make_recording(5 * MIB, MIB, MIB)

    recording = await finish(world, made)
    assert whole(recording) == len(await world.archived(made["callId"]))
    await check_content(world, recording)


async def test_cloud_events(world: World) -> None:
    """Events come as CloudEvents, in batches, just as well."""

    await world.subscribe(eventDeliverySchema="CloudEventSchemaV1_0")
    first = await world.make_recording(MIB)
    await world.subscribe(maxEventsPerBatch=10)
    second = await world.make_recording(MIB)

    for made in (first, second):
        await check_content(world, await finish(world, made))


async def test_a_crowd_of_events(world: World) -> None:
    """Most of them are deferred to the queue; every recording is still archived, once."""

    await world.subscribe()
    crowd = await asyncio.gather(*(world.make_recording(10_000) for _ in range(24)))

    for made in crowd:
        recording = await finish(world, made)
        assert whole(recording) == len(await world.archived(made["callId"]))
    assert "event.deferred" in await world.log()


async def test_ten_times_late_and_beside_a_bad_event(world: World) -> None:
    """Events that are twenty hours late and come ten times, mixed up, in batches with one that is bad, cost nothing."""

    await world.subscribe(duplicates=9, shuffle=True, maxEventsPerBatch=10)
    before = set(await world.names("recordings-quarantine"))
    made = [await world.make_recording(50_000, announce=False, durationSeconds=20 * 3600 + 10) for _ in range(3)]
    bad = {**FILE_STATUS, "id": "bad-among-good", "data": {"recordingStorageInfo": None}}
    published = [late_event(recording, hours=20) for recording in made]
    await world.request("POST", f"{world.acs}/emulator/events", [published[0], bad, *published[1:]])

    for recording in made:
        assert whole(recording) == len(await world.archived(recording["callId"]))
        await check_content(world, recording)
    assert 40 == await delivered(world)
    [name] = set(await world.names("recordings-quarantine")) - before
    download = await world.blobs.get_blob_client("recordings-quarantine", name).download_blob()
    assert "bad-among-good" in (await download.readall()).decode()


async def delivered(world: World) -> int:
    """Wait until every delivery was made, and return how many there were."""

    async def all_of_them() -> Any:
        [told] = (await world.request("GET", f"{world.acs}/emulator/subscriptions"))["subscriptions"]
        return None if told["pending"] else told

    return int((await eventually(all_of_them))["delivered"])


def late_event(recording: dict[str, Any], *, hours: float) -> dict[str, Any]:
    """Write the file event of a recording as it was so many hours ago."""
    names = ("documentId", "index", "endReason", "contentLocation", "metadataLocation", "deleteLocation")
    chunks = [{name: chunk[name] for name in names if name in chunk} for chunk in recording["chunks"]]
    data = {
        **FILE_STATUS["data"],
        "recordingStorageInfo": {"recordingChunks": chunks},
        "recordingStartTime": recording["startTime"],
    }
    time = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    subject = f"/recording/call/{recording['callId']}"
    return {**FILE_STATUS, "id": f"late-{recording['callId']}", "subject": subject, "data": data, "eventTime": time}


FAULTS: list[dict[str, Any]] = [
    {"kind": "cut", "afterBytes": 300_000, "times": 3},
    {"kind": "reset", "times": 2},
    {"kind": "status", "status": 503, "retryAfter": 1, "times": 1},
    {"kind": "status", "status": 429, "retryAfter": 1, "times": 1},
    {"kind": "html", "status": 200, "times": 1},
    {"kind": "empty", "times": 1},
    {"kind": "ignoreRange", "times": 1},
]


async def test_faults(world: World) -> None:
    """A source that fails for a while costs nothing but time, whatever the fault: each is that of one recording."""

    await world.subscribe()
    await world.request("DELETE", f"{world.acs}/emulator/faults")
    made = [await world.make_recording(6 * MIB, announce=False) for _ in FAULTS]
    paths = [f"/recording/download/{recording['chunks'][0]['documentId']}*" for recording in made]
    for path, fault in zip(paths, FAULTS, strict=True):
        await world.inject(method="GET", path=path, **fault)
    for recording in made:
        await world.request(
            "POST", f"{world.acs}/emulator/recordings/{recording['recordingId']}/announce", {"times": 1}
        )

    for recording in made:
        await check_content(world, await finish(world, recording))
    applied = {rule["path"]: rule["applied"] for rule in await faults(world)}
    assert {path: fault["times"] for path, fault in zip(paths, FAULTS, strict=True)} == applied


async def faults(world: World) -> list[dict[str, Any]]:
    """Return the emulator's rules, each with how often it was applied."""
    found: list[dict[str, Any]] = (await world.request("GET", f"{world.acs}/emulator/faults"))["faults"]
    return found


async def test_announced_again(world: World) -> None:
    """A file event that is delivered again after the recording was archived changes nothing in the archive."""

    await world.subscribe()
    made = await world.make_recording(MIB)
    before = await world.archived(made["callId"])
    first = await delivered(world)
    await world.announce(made, times=2)
    assert first + 2 == await delivered(world)

    async def is_swept() -> bool:
        return not any(made["callId"] in name for name in await world.names("recordings-staging"))

    await eventually(is_swept)
    assert before == await world.archived(made["callId"])


async def test_worker_killed(world: World) -> None:
    """When the worker is killed in the middle of a chunk, the next one continues from there."""

    await world.subscribe()
    size = LARGE_MIB * MIB
    await world.request("DELETE", f"{world.acs}/emulator/requests")
    # Slow enough that it is killed in the middle of blocks, and until shortly after that.
    slow = {"kind": "slow", "bytesPerSecond": 8 * MIB, "times": LARGE_MIB // 4 // 2 + 16}
    await world.inject(method="GET", path="/recording/download/*", **slow)
    made = await world.make_recording(size)

    async def sent() -> int:
        requests = (await world.request("GET", f"{world.acs}/emulator/requests"))["requests"]
        return sum(entry["bytesSent"] or 0 for entry in requests if entry["path"].startswith("/recording/download/"))

    async def half() -> bool:
        return await sent() > size // 2

    await eventually(half)
    before = await sent()
    await asyncio.to_thread(kill_worker)
    await world.archived(made["callId"], seconds=200)
    await check_content(world, await world.recording(made["recordingId"]))

    again = await sent() - size
    print(f"killed at {before / MIB:.0f} of {LARGE_MIB} MiB; {again / MIB:.1f} MiB were fetched again")
    # At most what was under way when it was killed: eight streams of a block each.
    assert again < 9 * 4 * MIB


def workers() -> list[psutil.Process]:
    """Find the processes that run the app's functions: the children of the Functions hosts."""
    hosts = [process for process in psutil.Process().children(recursive=True) if "functions" in process.cmdline()[:4]]
    return [child for host in hosts for child in host.children()]


def kill_worker() -> None:
    """Kill the process that runs the app's functions."""
    found = workers()
    assert 1 == len(found)
    found[0].kill()


async def test_memory(world: World) -> None:
    """A chunk passes through the worker without its memory growing by more than 64 MB, whatever its size."""

    await world.subscribe()
    await finish(world, await world.make_recording(64 * MIB))
    [worker] = workers()
    before = worker.memory_info().rss
    most = before
    made = await world.make_recording(LARGE_MIB * MIB)

    async def is_archived() -> bool:
        nonlocal most
        most = max(most, worker.memory_info().rss)
        names = [name for name in await world.names("recordings-archive") if made["callId"] in name]
        return any(name.endswith("/recording.json") for name in names)

    begun = time.monotonic()
    await eventually(is_archived, seconds=300)
    print(f"{LARGE_MIB} MiB in {time.monotonic() - begun:.0f} s; memory {before / MIB:.0f} to {most / MIB:.0f} MiB")
    assert most - before <= 64_000_000


# The official samples, docs/acs-contract.md#2021-callbacks, #2021-file-event and #file-event.
CALL_LEG = {
    "id": None,
    "topic": None,
    "subject": "callLeg/531f3600-481f-41c8-8a75-3e8b2e8e6200/callState",
    "data": {
        "ConversationId": None,
        "CallLegId": "531f3600-481f-41c8-8a75-3e8b2e8e6200",
        "CallState": "Establishing",
    },
    "eventType": "Microsoft.Communication.CallLegStateChanged",
    "eventTime": "2021-05-05T20:08:39.0157964Z",
    "metadataVersion": None,
    "dataVersion": None,
}
RECORDING_STATE = {
    "id": None,
    "topic": None,
    "subject": "conversations/aHR0cHM6Ly94/recordings/eyJ9/recordingState",
    "data": {
        "RecordingId": "eyJ9",
        "State": "active",
        "StartDateTime": "2021-04-14T16:32:40.1115003+00:00",
        "ConversationId": "aHR0cHM6Ly94",
    },
    "eventType": "Microsoft.Communication.CallRecordingStateChanged",
    "eventTime": "2021-04-14T16:32:40.5115003Z",
    "metadataVersion": None,
    "dataVersion": None,
}
DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
FILE_STATUS: dict[str, Any] = {
    "id": "7283825e-f8f1-4c61-a9ea-752c56890500",
    "topic": "/subscriptions/s/resourcegroups/g/providers/microsoft.communication/communicationservices/name",
    "subject": "/recording/call/5b1ab3a6-0b6d-4a4c-8ff3-2b5cf0c9a1d2",
    "data": {
        "recordingStorageInfo": {
            "recordingChunks": [{"documentId": DOCUMENT, "index": 0, "endReason": "SessionEnded"}],
        },
        "recordingStartTime": "2021-07-27T15:20:23.6089755Z",
        "recordingDurationMs": 6620,
        "sessionEndReason": "CallEnded",
    },
    "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
    "dataVersion": "1.0",
    "metadataVersion": "1",
    "eventTime": "2021-07-27T15:20:34.2199328Z",
}
LOCATION = f"https://storage.asm.skype.com/v1/objects/{DOCUMENT}"
TODAYS_FILE_STATUS = {
    **FILE_STATUS,
    "id": "7283825e-f8f1-4c61-a9ea-752c56890501",
    "subject": "/recording/call/5b1ab3a6-0b6d-4a4c-8ff3-2b5cf0c9a1d3/serverCallId/aHR0cHM6Ly94/recordingId/eyJ9",
    "data": {
        **FILE_STATUS["data"],
        "recordingStorageInfo": {
            "recordingChunks": [
                {
                    "documentId": DOCUMENT,
                    "index": 0,
                    "endReason": "SessionEnded",
                    "contentLocation": f"{LOCATION}/content/video",
                    "metadataLocation": f"{LOCATION}/content/acsmetadata",
                    "deleteLocation": LOCATION,
                }
            ]
        },
        "recordingContentType": "Audio",
        "recordingChannelType": "Mixed",
        "recordingFormatType": "Mp3",
    },
}


async def test_samples(world: World) -> None:
    """The official samples of every event are accepted, by Event Grid and by callback, and none is quarantined."""

    before = await world.names("recordings-quarantine")
    for sample in (CALL_LEG, FILE_STATUS, TODAYS_FILE_STATUS):
        await world.request("POST", world.app + WEBHOOK, [sample], status=202, headers=NOTIFICATION)
    for sample in (CALL_LEG, RECORDING_STATE):
        assert {} == await world.request("POST", f"{world.app}/callbacks", sample)

    assert before == await world.names("recordings-quarantine")
    listed = (await world.request("GET", f"{world.app}/recordings?limit=100"))["recordings"]
    calls = {recording["callId"] for recording in listed}
    assert {"5b1ab3a6-0b6d-4a4c-8ff3-2b5cf0c9a1d2", "5b1ab3a6-0b6d-4a4c-8ff3-2b5cf0c9a1d3"} <= calls


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [{"documentId": "../../etc/passwd", "index": 0, "endReason": "SessionEnded"}],
    ],
    ids=["none", "path"],
)
async def test_quarantine(world: World, chunks: list[dict[str, Any]], request: pytest.FixtureRequest) -> None:
    """A file event that can't be understood is acknowledged, and is in quarantine."""

    event_id = f"quarantine-{request.node.callspec.id}"
    data = {**FILE_STATUS["data"], "recordingStorageInfo": {"recordingChunks": chunks}}
    event = {**FILE_STATUS, "id": event_id, "data": data}
    before = set(await world.names("recordings-quarantine"))
    await world.request("POST", world.app + WEBHOOK, [event], status=202, headers=NOTIFICATION)

    [name] = set(await world.names("recordings-quarantine")) - before
    download = await world.blobs.get_blob_client("recordings-quarantine", name).download_blob()
    assert event_id in (await download.readall()).decode()


async def test_a_chunked_body_gets_a_411(world: World) -> None:
    """The host hands nothing of it to the app: a recording must not begin with default options instead."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"recordingStateCallbackUri": "https://app.contoso.com/cb"}'

    for path in ("conversations/3f2b0e4c-1111-4000-8000-000000000001/recordings", "recordings", "callbacks"):
        async with world.session.post(f"{world.app}/{path}", data=body()) as answer:
            assert (path, 411, "LengthRequired") == (path, answer.status, (await answer.json())["code"])


async def test_nothing_secret(world: World) -> None:
    """No key and no signature of a link has got into the app's log."""

    text = (await world.log()).lower()

    assert [] == [secret for secret in ("accesskey=", "accountkey=", "sig=", "signature=") if secret in text]


async def test_the_doctor(world: World) -> None:
    """`python -m recording doctor` finds the running stack well, by the settings file that it has written."""

    command = [
        sys.executable,
        "-m",
        "recording",
        "doctor",
        "--all",
        "--settings",
        str(world.logs.parent / "settings.json"),
    ]
    done = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    told = (await done.communicate())[0].decode()

    assert 0 == done.returncode, told
    assert "✓ ACS credentials" in told


async def test_auto_record(world: World) -> None:
    """With AUTO_RECORD=all an established call is recorded, once, however often its event comes."""

    await world.subscribe(duplicates=2)
    body = {"participants": ["Ada", "Grace"], "callbackUri": f"{world.app}/callbacks"}
    call = await world.request("POST", f"{world.acs}/emulator/calls", body, status=201)

    async def recorded() -> list[dict[str, Any]]:
        return [one for one in await world.recordings() if one["callId"] == call["callId"]]

    await eventually(recorded)
    await world.request("POST", f"{world.acs}/emulator/clock", {"advanceSeconds": 5})
    await world.request("DELETE", f"{world.acs}/emulator/calls/{call['callId']}")

    assert await world.archived(call["callId"])
    assert 1 == len(await recorded())
