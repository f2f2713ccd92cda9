"""recording/people/exports.py: exports are asked for, made, handed out, and removed with what they are of."""

import asyncio
import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from local.azurite import Azurite
from recording.app import App
from recording.errors import BadRequest, NotFound, TrailUnavailable
from recording.model import layout
from recording.model.caller import Caller, RepeatKey
from recording.model.consent import ConsentBody
from recording.model.export import ExportQuery, ExportRequest, ExportView
from recording.model.job import ExportJob
from recording.model.roles import Principal
from recording.people.exports import Exports
from recording.people.find import PersonFinder
from recording.storage.trail import Trail
from tests.support.facts import body_of, container, listing, put, trail_of
from tests.support.faults import FaultyBlobs, Killed
from tests.support.people import ADA, GRACE, PHONE, archive, named_in_metadata_files, recorded
from tests.support.source import Host, storage_host

# One worker runs them all: each would build the fixture of the module for itself.
pytestmark = [pytest.mark.derived, pytest.mark.xdist_group("exports")]
BOSS = Caller("Grace", principal=Principal("person", "8c5f7a39-0000-4000-8000-000000000002", "Grace", frozenset()))
CALL = "aHR0cHM6Ly9jb252LmV4YW1wbGUvY29udi94"


@pytest_asyncio.fixture
async def world(environment: dict[str, str]) -> AsyncIterator[tuple[App, Host]]:
    """Three archived recordings, two of them with Ada, and one with her in flight; for one test alone."""
    async with built(environment) as there:
        yield there


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(azurite: Azurite) -> AsyncIterator[tuple[App, Host]]:
    """The same for all tests that change none of its recordings."""
    names = ("STAGING", "ARCHIVE", "QUARANTINE", "DERIVED", "DEAD_LETTER")
    environment = {
        "AzureWebJobsStorage": azurite.connection_string,
        "DERIVED_STORAGE": azurite.connection_string,
        "ACS_CONNECTION_STRING": "endpoint=http://127.0.0.1:9/;accesskey=a2V5",
        **{f"{name}_CONTAINER": f"exports-{name.lower().replace('_', '-')}-{uuid4().hex[:8]}" for name in names},
    }
    async with built(environment) as there:
        yield there


@asynccontextmanager
async def built(environment: dict[str, str]) -> AsyncIterator[tuple[App, Host]]:
    """Record and archive."""
    async with storage_host(environment) as (app, host):
        for number, people in enumerate([(ADA, GRACE), (GRACE,), (PHONE, ADA)]):
            await recorded(app, host, number, people)
        await archive(app)
        await recorded(app, host, 9, (ADA, GRACE))
        yield app, host


def request(**more: Any) -> ExportRequest:
    """Ask what there is about Ada."""
    return ExportRequest(**{"participant": ADA, "reason": "she asked, article 15"} | more)


async def made(exports: Exports, body: ExportRequest, *, key: str | None = None) -> str:
    """Ask for an export and make it; return its id."""
    caller = replace(BOSS, repeat_key=RepeatKey("Idempotency-Key", key)) if key else BOSS
    export = (await exports.ask(caller, body)).export_id
    await exports.run(export)
    return export


async def view(exports: Exports, export: str) -> ExportView:
    """Ask for the state."""
    return await exports.view(BOSS, export, ExportQuery())


async def bytes_of(app: App, export: str) -> dict[str, bytes]:
    """Read every blob of an export."""
    prefix = f"exports/{export}/"
    async with container(app.settings, "derived") as blobs:
        names = [name async for name in blobs.list_blob_names(name_starts_with=prefix)]
        return {name.removeprefix(prefix): await (await blobs.download_blob(name)).readall() for name in names}


async def test_an_export_has_every_recording_whose_metadata_files_name_the_person(world: tuple[App, Host]) -> None:
    """With metadata as received, the manifest, who did what, consents, and links: each on record before."""
    app, _ = world
    await app.consents.note(BOSS, CALL, ConsentBody(participant=ADA, decision="granted", how="click", text="yes <b>"))
    wanted = await named_in_metadata_files(app, ADA)
    await app.handout.view(BOSS, min(wanted))

    export = await made(app.exports, request())
    found = await view(app.exports, export)
    data = json.loads((await bytes_of(app, export))["export.json"])

    assert ("ready", 3, 3, 0) == (found.state, found.recordings, found.recordings_done, found.unreadable)
    assert wanted == {one["recordingKey"] for one in data["recordings"]}
    assert {"archived", "staged"} == {one["manifest"]["state"] for one in data["recordings"]}
    first = min(data["recordings"], key=lambda one: str(one["recordingKey"]))
    assert ADA in json.dumps(first["metadata"][0]["said"])
    assert ["view"] == [one["operation"] for one in first["trail"]]
    assert ["granted"] == [one["decision"] for one in data["about"]["consents"]]
    assert ["export"] == [one["operation"] for one in data["about"]["trail"]]
    names = [link.name for link in found.links]
    assert ["export.json", "index.html", *(f"files/{key}" for key in sorted(wanted))] == [
        *names[:2],
        *(name.rpartition("/")[0] for name in names[2:]),
    ]
    async with aiohttp.ClientSession() as http:
        for link in found.links:
            async with http.get(link.url) as answer:
                assert (200, link.bytes) == (answer.status, len(await answer.read()))
                assert answer.headers["Content-Disposition"].startswith("attachment")
    entries = [one for one in await trail_of(app.settings) if one["operation"] == "export"]
    assert ["she asked, article 15", None] == [one.get("reason") for one in entries]
    assert export == entries[0]["details"]["export"]
    assert ADA not in json.dumps(entries)


@pytest.mark.asyncio(loop_scope="session")
async def test_others_occur_nowhere_in_the_bytes_of_a_masked_export(shared: tuple[App, Host]) -> None:
    """In any blob, raw, as JSON or as HTML writes it: neither others nor the staff; the person does."""
    app, _ = shared
    [key, *_] = sorted(await named_in_metadata_files(app, ADA))
    await app.handout.view(BOSS, key)

    blobs = await bytes_of(app, await made(app.exports, request(files="copies")))

    hidden = [GRACE, PHONE, "14255550123", str(BOSS.who), str(BOSS.principal and BOSS.principal.object_id)]
    forms = {form for one in hidden for form in (one, json.dumps(one)[1:-1], html.escape(one), one.upper())}
    texts = {name: body for name, body in blobs.items() if not name.startswith("files/")}
    found = {name: [form for form in forms if form.encode() in body] for name, body in texts.items()}
    assert {name: [] for name in texts} == found
    assert ADA.encode() in blobs["index.html"]
    assert 3 == len([name for name in blobs if name.startswith("files/") and len(blobs[name]) == 1000])


@pytest.mark.settings(EXPORT_OTHERS="shown")
async def test_others_are_shown_where_the_setting_says_so_and_metadata_is_as_received(
    world: tuple[App, Host],
) -> None:
    """Byte for byte; a request may ask for less."""
    app, host = world
    shown, masked = [
        json.loads((await bytes_of(app, await made(app.exports, request(others=others))))["export.json"])
        for others in (None, "masked")
    ]

    received = {body.decode() for body in host.metadata.values()}
    assert {file["text"] for one in shown["recordings"] for file in one["metadata"]} <= received
    assert GRACE in json.dumps(shown)
    assert GRACE not in json.dumps(masked)


async def test_a_metadata_file_that_cannot_be_masked_is_withheld(world: tuple[App, Host]) -> None:
    """It is no JSON: others may be named anywhere in it. The page says that it is left out."""
    app, _ = world
    key = min(await named_in_metadata_files(app, ADA))
    names = [name for name in await listing(app.settings, "archive") if f"{key}/chunks/" in name]
    [name] = [one for one in names if one.endswith(".json")]
    await put(app.settings, "archive", name, b'{"participants": [' + GRACE.encode())

    blobs = await bytes_of(app, await made(app.exports, request()))

    assert b"could not be hidden in it" in blobs["index.html"]
    assert GRACE.encode() not in blobs["index.html"] + blobs["export.json"]


async def test_more_may_not_be_shown_than_the_setting_says(world: tuple[App, Host]) -> None:
    """Bad input leaves nothing behind: neither a fact nor a message."""
    app, _ = world
    before = await listing(app.settings, "archive")

    with pytest.raises(BadRequest) as refused:
        await app.exports.ask(BOSS, request(others="shown"))

    assert "others" == refused.value.target
    assert (before, {}) == (await listing(app.settings, "archive"), await listing(app.settings, "derived"))


async def test_a_request_that_is_repeated_asks_once(world: tuple[App, Host]) -> None:
    """With its key; for something else the key is refused. Made twice at once it is one export."""
    app, _ = world
    export = await made(app.exports, request(), key="1")
    before = await bytes_of(app, export)

    assert export == await made(app.exports, request(), key="1")
    await asyncio.gather(*(app.exports.run(export) for _ in range(3)))
    with pytest.raises(BadRequest):
        await made(app.exports, request(participant=GRACE), key="1")

    assert before == await bytes_of(app, export)
    assert 1 == len([one for one in await trail_of(app.settings) if one["operation"] == "export"])


async def test_keys_that_differ_in_their_padding_ask_for_two_exports(app: App) -> None:
    """Each is a key of its own: the second request may be about somebody else."""
    callers = [replace(BOSS, repeat_key=RepeatKey("Idempotency-Key", key)) for key in ("YQ", "YQ=", "YQ==")]

    asked = [(await app.exports.ask(one, request())).export_id for one in callers]

    assert [True] * 3 == [layout.is_export_id(export) for export in asked]
    assert 3 == len({*asked})


async def test_nothing_is_made_that_is_not_on_record(world: tuple[App, Host]) -> None:
    """The fact comes first."""
    app, _ = world
    broken = FaultyBlobs(app.settings).on("create", name="archive/audit/", raises=TimeoutError())

    with pytest.raises(TrailUnavailable):
        await replace(app.exports, trail=Trail(broken)).ask(BOSS, request())
    await broken.aclose()

    assert {} == await listing(app.settings, "derived")


# Asked; what is in flight, four recordings looked through in one part, and settled; three collected, what else there
# is, data, page, done.
WRITES = 10


@pytest.mark.asyncio(loop_scope="session")
async def test_a_job_that_is_killed_at_any_write_ends_the_same(shared: tuple[App, Host]) -> None:
    """The next one goes on: in the end there are the very bytes that an undisturbed job writes."""
    app, _ = shared
    now = datetime.now(UTC)
    ends: list[dict[str, bytes]] = []
    for after in range(WRITES + 1):
        steady = replace(app.exports, clock=lambda: now)
        caller = replace(BOSS, repeat_key=RepeatKey("Idempotency-Key", "same"))
        export = (await steady.ask(caller, request(files="copies"))).export_id
        if after:
            dying = FaultyBlobs(app.settings, kill_after=after)
            killed = replace(steady, blobs=dying, collector=replace(steady.collector, blobs=dying))
            with pytest.raises((BaseExceptionGroup, Killed)):
                await killed.run(export)
            await dying.aclose()
        await steady.run(export)
        ends.append(await bytes_of(app, export))
        async with container(app.settings, "derived") as blobs:
            for name in ends[-1]:
                await blobs.delete_blob(f"exports/{export}/{name}")

    def lasting(end: dict[str, bytes]) -> dict[str, bytes]:
        # Each asking has its time, is an entry of the trail, and so is in the next export.
        changing = ("about", "asked", "export", "index")
        return {name: body for name, body in end.items() if not name.startswith(changing)}

    assert {"asked.json", "done.json", "export.json", "index.html"} < set(ends[0])
    assert [sorted(ends[0])] * len(ends) == [sorted(end) for end in ends]
    assert [lasting(ends[0])] * len(ends) == [lasting(end) for end in ends]


async def test_what_was_in_flight_and_is_archived_between_two_tries_is_in_it(world: tuple[App, Host]) -> None:
    """Its key may be an earlier one than the last that the first try has looked at."""
    app, _ = world
    [key] = await app.exports.finder.in_flight(ADA)
    export = (await app.exports.ask(BOSS, request())).export_id
    first = FaultyBlobs(app.settings).on("create", name="found.json", raises=TimeoutError())
    with pytest.raises(TimeoutError):
        await replace(app.exports, blobs=first).run(export)
    await first.aclose()

    class Later(PersonFinder):
        async def in_flight(self, _: str) -> list[str]:
            return []

    await replace(app.exports, finder=Later(app.recordings, app.clients.index)).run(export)

    [found] = [name for name in await listing(app.settings, "derived") if name.endswith("found.json")]
    assert key in (await body_of(app.settings, "derived", found))["keys"]


@pytest.mark.asyncio(loop_scope="session")
async def test_what_takes_too_long_goes_on_in_another_job(shared: tuple[App, Host]) -> None:
    """It is queued again; until then there are no links."""
    app, _ = shared
    export = (await app.exports.ask(BOSS, request())).export_id
    slow = FaultyBlobs(app.settings).on("create", name=r"recordings/", hangs=30)

    await replace(app.exports, blobs=slow, budget_seconds=1.5).run(export)
    await slow.aclose()
    state = await view(app.exports, export)
    queued = [message.text async for message in app.clients.export_queue.receive(limit=32, hidden_seconds=1)]

    assert ("making", [], 0) == (state.state, state.links, state.recordings_done)
    assert export in [ExportJob.from_message(one).export_id for one in queued]


@pytest.mark.asyncio(loop_scope="session")
async def test_erasing_a_recording_removes_the_exports_that_have_it_and_no_other(shared: tuple[App, Host]) -> None:
    """Ready or settled; whoever has the id finds nothing any more."""
    app, _ = shared
    [key, *_] = sorted(await named_in_metadata_files(app, ADA))
    ready, other = await made(app.exports, request(files="copies")), await made(app.exports, request(participant=PHONE))

    there = await app.exports.folders(key)
    removed = await app.exports.erase(key)

    assert removed == len(there)
    assert f"exports/{ready}/" in there
    assert f"exports/{other}/" not in there
    assert {} == await bytes_of(app, ready)
    with pytest.raises(NotFound):
        await view(app.exports, ready)
    assert "ready" == (await view(app.exports, other)).state
    assert 0 == await app.exports.erase(key)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_job_at_work_leaves_nothing_of_what_is_erased_meanwhile(shared: tuple[App, Host]) -> None:
    """The tombstone comes before the exports are looked through: the job sees it after its write."""
    app, _ = shared
    [key, *_] = sorted(await named_in_metadata_files(app, ADA))
    erased: set[str] = set()

    async def erase() -> None:
        erased.add(key)
        await app.exports.erase(key)

    async def is_erased(one: str) -> bool:
        return one in erased

    for step in (rf"recordings/{key}", r"export\.json", r"done\.json"):
        erased.clear()
        blobs = FaultyBlobs(app.settings).on("create", name=step, before=erase, times=1)
        export = (await app.exports.ask(BOSS, request())).export_id
        await replace(app.exports, blobs=blobs, is_erased=is_erased).run(export)
        await blobs.aclose()
        assert (step, {}) == (step, await bytes_of(app, export))


@pytest.mark.asyncio(loop_scope="session")
async def test_an_export_expires(shared: tuple[App, Host]) -> None:
    """After EXPORT_DAYS it is neither made nor handed out, and what is left of it is deleted."""
    app, _ = shared
    export = await made(app.exports, request())
    later = replace(app.exports, clock=lambda: datetime.now(UTC) + timedelta(days=7, minutes=1))

    with pytest.raises(NotFound):
        await view(later, export)
    assert {} == await bytes_of(app, export)
    for wrong in ("0" * 32, "../x", "x"):
        with pytest.raises(NotFound):
            await view(app.exports, wrong)


@pytest.mark.asyncio(loop_scope="session")
async def test_the_links_of_many_files_come_in_pages(shared: tuple[App, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, in the order of their names."""
    app, _ = shared
    monkeypatch.setattr("recording.people.exports._LINKS", 2)
    export = await made(app.exports, request())
    names: list[str] = []
    after: str | None = None
    while True:
        page = await app.exports.view(BOSS, export, ExportQuery(after=after))
        names += [link.name for link in page.links]
        if (after := page.next) is None:
            break

    assert 5 == len(names) == len(set(names))
    assert ["export.json", "index.html", *sorted(names[2:])] == names


async def test_without_a_place_for_derived_files_there_are_no_exports(app: App) -> None:
    """The answer names the setting."""
    off = replace(
        app.exports,
        blobs=FaultyBlobs(app.settings.model_copy(update={"derived_storage": type(app.settings.derived_storage)()})),
    )
    try:
        with pytest.raises(NotFound, match="DERIVED_STORAGE"):
            await off.ask(BOSS, request())
        assert 0 == await off.erase("any")
    finally:
        await off.blobs.aclose()


@pytest.mark.asyncio(loop_scope="session")
async def test_the_request_is_kept_beside_the_export_and_expires_with_it(shared: tuple[App, Host]) -> None:
    """Whose data it is stands nowhere else: the message has the id, the trail a digest."""
    app, _ = shared
    export = (await app.exports.ask(BOSS, request())).export_id
    queued = [message.text async for message in app.clients.export_queue.receive(limit=32, hidden_seconds=1)]

    assert ADA == (await body_of(app.settings, "derived", f"exports/{export}/asked.json"))["participant"]
    assert ADA not in "".join(queued)
