"""/v1, over HTTP on the local host: who gets in with which token, and who may do what."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.azurite import Azurite
from local.entra.directory import PEOPLE, SERVICES
from local.entra.tokens import WRONG, Wrong
from recording.config.settings import read_settings
from recording.model import layout
from recording.model.roles import ROLES
from tests.support.facts import body_of, listing, put
from tests.support.joined import archived, wav
from tests.support.manifests import KEY as JOINED
from tests.support.manifests import finished
from tests.support.v1 import ROOT, Site, running

# One worker runs them all: each would build the fixture of the module for itself.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("v1")]

KEY = "20260301T100000000000Z-3f2b0e4c-0000-4000-8000-00000000000f"
EVENT = "20260301-sha256-0123456789abcdef0123456789abcdef"
ONE = "v1/conversations/3f2b0e4c-1111-4000-8000-000000000001/recordings"
# What each kind of wrong token is told: the kind of failure, and nothing of the token.
REFUSALS: dict[Wrong, tuple[int, str]] = {
    "other-key": (401, "the token is invalid (signature)"),
    "unsigned": (401, "the token is invalid (algorithm)"),
    "hs256": (401, "the token is invalid (algorithm)"),
    "expired": (401, "the token is invalid (expired)"),
    "not-yet": (401, "the token is invalid (not valid yet)"),
    "issuer": (401, "the token is invalid (issuer)"),
    "audience": (401, "the token is invalid (audience)"),
    "tenant": (401, "the token is invalid (tenant)"),
    "id-token": (401, "the token is invalid (audience)"),
    "v1": (401, "the token is invalid (version)"),
    "no-scope": (401, "the token is invalid (scope)"),
    "no-role": (403, "this operation needs the role "),
}
# The matrix: which roles may do what. R, O, C, M, E are Read, Operate, Control, Manage, Erase.
MATRIX = {
    "v1_list_recordings": ("GET", "v1/recordings", "RO ME"),
    "v1_get_recording": ("GET", f"v1/recordings/{KEY}", "RO ME"),
    "v1_get_chunk_content": ("GET", f"v1/recordings/{KEY}/chunks/0/content", "R  M "),
    "v1_create_links": ("POST", f"v1/recordings/{KEY}/links", "R  M "),
    "v1_download_manifest": ("GET", f"v1/recordings/{KEY}/manifest", "R  M "),
    "v1_get_recording_file": ("GET", f"v1/recordings/{KEY}/file", "R  M "),
    "v1_download_checksums": ("GET", f"v1/recordings/{KEY}/sha256sums", "R  M "),
    "v1_get_recording_trail": ("GET", f"v1/recordings/{KEY}/trail", "   M "),
    "v1_get_trail": ("GET", "v1/trail", "   M "),
    "v1_verify_recording": ("POST", f"v1/recordings/{KEY}/verify", "RO M "),
    "v1_verify_chunk": ("POST", f"v1/recordings/{KEY}/chunks/0/verify", "RO M "),
    "v1_requeue_chunk": ("POST", f"v1/recordings/{KEY}/chunks/0/requeue", " O   "),
    "v1_set_retention": ("PUT", f"v1/recordings/{KEY}/retention", "   M "),
    "v1_place_hold": ("PUT", f"v1/recordings/{KEY}/hold", "   M "),
    "v1_lift_hold": ("DELETE", f"v1/recordings/{KEY}/hold", "   M "),
    "v1_place_holds": ("POST", "v1/holds", "   M "),
    "v1_get_holds": ("GET", "v1/holds/0123456789abcdef0123456789abcdef", "   M "),
    "v1_get_operations": ("GET", "v1/operations", " O   "),
    "v1_list_waiting": ("GET", "v1/operations/waiting", " O   "),
    "v1_list_not_announced": ("GET", "v1/operations/not-announced", " O   "),
    "v1_list_quarantined": ("GET", "v1/operations/quarantined", " O   "),
    "v1_get_quarantined": ("GET", f"v1/operations/quarantined/{EVENT}", " O   "),
    "v1_replay_quarantined": ("POST", f"v1/operations/quarantined/{EVENT}/replay", " O   "),
    "v1_list_dead_letters": ("GET", "v1/operations/dead-letters", " O   "),
    "v1_erase_recording": ("POST", "v1/recordings/x/erase", "    E"),
    "v1_call_off_erasure": ("DELETE", "v1/recordings/x/erase", "    E"),
    "v1_erase_person": ("POST", "v1/erasures", "    E"),
    "v1_list_erasures": ("GET", "v1/erasures", "   ME"),
    "v1_get_erasure": ("GET", "v1/erasures/x", "   ME"),
    "v1_list_live": ("GET", "v1/live", "  C  "),
    "v1_get_me": ("GET", "v1/me", "ROCME"),
    "v1_create_export": ("POST", "v1/exports", "   M "),
    "v1_get_export": ("GET", "v1/exports/0123456789abcdef0123456789abcdef", "   M "),
    "v1_note_consent": ("POST", ONE.replace("recordings", "consents"), "  CM "),
    "v1_list_consents": ("GET", ONE.replace("recordings", "consents"), "R CM "),
    "v1_start_recording": ("POST", ONE, "  C  "),
    "v1_start_recording_by_url": ("POST", "v1/recordings", "  C  "),
    "v1_get_recording_state": ("GET", f"{ONE}/abc", "  C  "),
    "v1_stop_recording": ("DELETE", f"{ONE}/abc", "  C  "),
    "v1_pause_recording": ("POST", f"{ONE}/abc/pause", "  C  "),
    "v1_resume_recording": ("POST", f"{ONE}/abc/resume", "  C  "),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(azurite: Azurite) -> AsyncIterator[Site]:
    """The app, once for all tests of this module."""
    async with running(azurite) as one:
        # The app makes its containers when it is first asked for something.
        await one.send("GET", "health")
        yield one


@pytest.mark.parametrize("kind", WRONG)
async def test_a_token_that_is_wrong_in_one_respect_is_refused(site: Site, kind: Wrong) -> None:
    """401 with the kind of failure only, or 403 for a missing role, whoever else it would let in."""
    token = site.entra.tokens.wrong(kind, PEOPLE["ada"])

    answer = await site.send("GET", "v1/recordings", Authorization=f"Bearer {token}")

    status, message = REFUSALS[kind]
    code = {401: "Unauthorized", 403: "Forbidden"}[status]
    assert (status, code, code) == (answer.status, answer.body["code"], answer.headers["x-ms-error-code"])
    assert answer.body["message"].startswith(message)
    assert ("Bearer" if status == 401 else None) == answer.headers.get("WWW-Authenticate")
    assert token[:20] not in json.dumps(answer.body)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic {}"},
        {"Authorization": "{}"},
        {"Authorization": "Bearer {}, Bearer {}"},
        {"X-Authorization": "Bearer {}"},
        {"x-functions-key": "any"},
        {"X-MS-CLIENT-PRINCIPAL-NAME": "Ada Lovelace", "X-MS-CLIENT-PRINCIPAL-ID": PEOPLE["ada"].object_id},
    ],
)
async def test_only_one_bearer_token_opens_v1(site: Site, headers: dict[str, str]) -> None:
    """Neither a key nor a header of the platform, nor a token elsewhere or twice."""
    token = site.entra.tokens.access(PEOPLE["ada"])

    answer = await site.send(
        "GET", "v1/recordings", **{name: value.replace("{}", token) for name, value in headers.items()}
    )

    assert (401, "Authorization") == (answer.status, answer.body["target"])
    assert 200 == (await site.send("GET", "v1/recordings", Authorization=f"bearer {token}")).status


async def test_a_key_that_is_rotated_is_known_before_it_signs(site: Site) -> None:
    """Tokens of the key before, the present one and the next one pass; one that was never published doesn't."""
    before = site.entra.tokens.access(PEOPLE["ada"])
    site.entra.tokens.rotate()

    for token in (before, site.entra.tokens.access(PEOPLE["ada"])):
        assert 200 == (await site.send("GET", "v1/recordings", Authorization=f"Bearer {token}")).status


@pytest.mark.parametrize("function", MATRIX)
async def test_who_may_do_what_is_the_matrix(site: Site, function: str) -> None:
    """Each operation that is on /v1, as each of the five people, who have one role each."""
    method, path, may = MATRIX[function]

    statuses = {person.roles[0]: (await site.ask(method, path, login)).status for login, person in PEOPLE.items()}

    assert set(ROLES) == set(statuses)
    assert {role for role, letter in zip(ROLES, may, strict=True) if letter != " "} == {
        role for role, status in statuses.items() if status != 403
    }
    assert {401, 500}.isdisjoint(statuses.values())


async def test_the_matrix_has_every_operation_of_v1(site: Site) -> None:
    """An operation that is added to /v1 has its row, under its pinned name."""
    assert sorted(MATRIX) == sorted(one.name for one in site.host.functions if one.name.startswith("v1_"))


async def test_the_matrix_is_documented() -> None:
    """docs/entra.md has the same rows."""
    text = (ROOT / "docs/entra.md").read_text().partition("## Who may do what")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| (.+) \|$", text, re.MULTILINE)

    assert {name: [letter != " " for letter in may] for name, (_, _, may) in MATRIX.items()} == {
        name: [word != "no" for word in words.split(" | ")] for name, words in rows
    }


@pytest.mark.parametrize(
    ("login", "status"), [("ada", 200), ("grace", 200), ("alan", 200), ("edsger", 403), ("barbara", 403)]
)
async def test_only_who_sees_people_searches_for_them(site: Site, login: str, status: int) -> None:
    """Operators find recordings without the people in them."""
    answer = await site.ask("GET", "v1/recordings?participant=8:acs:ada", login)

    assert status == answer.status
    assert login != "edsger" or answer.body["target"] == "participant"


async def test_a_service_signs_in_with_its_own_roles(site: Site) -> None:
    """Client credentials: no scope, `idtyp` is `app`; the roles decide as for people."""
    calling_app, monitor = SERVICES.values()

    assert 404 == (await site.ask("GET", f"{ONE}/abc", calling_app)).status
    assert 200 == (await site.ask("GET", "v1/recordings", monitor)).status
    assert 403 == (await site.ask("GET", f"{ONE}/abc", monitor)).status


async def test_every_request_finds_its_own_function(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The host tries functions in the order of their names: none may hide another."""
    caplog.set_level("INFO", logger="local.functions")
    found = {}
    for function in site.host.functions:
        if function.trigger.type == "httpTrigger":
            for method in function.trigger.properties["methods"]:
                caplog.clear()
                await site.send(method, re.sub(r"\{\w+\}", "x", function.trigger.text("route")).lstrip("/"))
                lines = [r.message for r in caplog.records if r.message.startswith("invocation_succeeded")]
                names = [name for line in lines for name in re.findall(r"function=\"?(\w+)", line)]
                found[function.name, method] = names

    assert {(name, method): [name] for name, method in found} == found
    assert len(found) > len(MATRIX) > 10


async def test_who_asked_is_on_record_as_the_token_says(site: Site) -> None:
    """Name, object id and roles of the token, whatever name the headers claim."""
    claimed = {"X-MS-CLIENT-PRINCIPAL-NAME": "Grace Hopper", "X-MS-CLIENT-PRINCIPAL-ID": "1"}
    settings = read_settings(site.environ)
    earlier = set(await listing(settings, "archive"))

    assert 404 == (await site.ask("DELETE", f"{ONE}/abc", "barbara", **claimed)).status

    [name] = set(await listing(settings, "archive")) - earlier
    fact = await body_of(settings, "archive", name)
    barbara = PEOPLE["barbara"]
    assert (barbara.name, barbara.object_id, list(barbara.roles)) == (fact["who"], fact["objectId"], fact["roles"])


async def test_a_hand_out_is_on_record_as_the_token_says(site: Site) -> None:
    """From a link to its trail, over HTTP: who, from where by the last address, with the id of the request."""
    settings = read_settings(site.environ)
    one = finished(7)
    key, [entry] = one.recording_key, one.chunks
    assert entry.content
    await put(settings, "archive", layout.manifest_blob(key), one.model_dump_json(by_alias=True).encode())
    await put(settings, "archive", entry.content.blob, b"x" * entry.content.bytes)
    body = {"indexes": [0], "purpose": "download", "reason": "case 118"}
    forwarded = {"X-Forwarded-For": "10.0.0.1, 203.0.113.7:51032"}

    links = await site.ask("POST", f"v1/recordings/{key}/links", "ada", body=body, **forwarded)
    sums = await site.ask("GET", f"v1/recordings/{key}/sha256sums", "ada")
    trail = await site.ask("GET", f"v1/recordings/{key}/trail?limit=1", "grace")
    rest = await site.ask("GET", trail.body["nextLink"].removeprefix(site.host.url), "grace")

    [link] = links.body["links"]
    async with site.session.get(link["url"]) as got:
        assert (200, entry.content.bytes) == (got.status, len(await got.read()))
    assert (f"{key}-00000.mp4", "0" * 64) == (link["fileName"], link["sha256"])
    assert f"{link['sha256']}  {link['fileName']}" in sums.text
    assert f'attachment; filename="{key}-SHA256SUMS"' == sums.headers["Content-Disposition"]
    [download], [linked] = trail.body["entries"], rest.body["entries"]
    ada = PEOPLE["ada"]
    assert {"file": f"{key}-SHA256SUMS"} == download["details"]
    assert (ada.name, ada.object_id, "203.0.113.7", "case 118", [0]) == (
        *(linked["who"], linked["objectId"], linked["from"], linked["reason"], linked["indexes"]),
    )
    assert links.headers["x-ms-request-id"] == linked["requestId"]
    assert links.body["correlationId"] == linked["correlationId"]
    assert "no-store" == links.headers["Cache-Control"]
    day = await site.ask("GET", "v1/trail?limit=2", "grace")
    assert [download, linked] == day.body["entries"]


async def test_one_file_of_all_chunks_is_made_by_the_job_that_the_first_request_queues(site: Site) -> None:
    """202 with `Retry-After` until it is there; then a link, whose hand-out is on the trail."""
    chunks = (wav(16_000), wav(8_000, first=16_000))
    await archived(read_settings(site.environ), chunks)

    first = answer = await site.ask("GET", f"v1/recordings/{JOINED}/file?purpose=download&reason=case", "ada")
    for _ in range(300):
        if answer.status != 202:
            break
        await asyncio.sleep(0.2)
        answer = await site.ask("GET", f"v1/recordings/{JOINED}/file?purpose=download&reason=case", "ada")

    assert (202, "5", "making") == (first.status, first.headers["Retry-After"], first.body["state"])
    assert {"recordingKey", "state", "bytesDone", "bytesTotal"} == set(first.body)
    assert (200, "ready") == (answer.status, answer.body["state"])
    [part] = answer.body["parts"]
    assert [{"index": 0, "beginsAt": 0.0, "seconds": 1.0}, {"index": 1, "beginsAt": 1.0, "seconds": 0.5}] == part[
        "chunks"
    ]
    async with site.session.get(part["url"]) as got:
        assert (await got.read()).endswith(chunks[0][44:] + chunks[1][44:])
    trail = await site.ask("GET", f"v1/recordings/{JOINED}/trail?limit=1", "grace")
    assert ["download"] == [entry["operation"] for entry in trail.body["entries"]]
    wrong = await site.ask("GET", f"v1/recordings/{JOINED}/file?purpose=keep", "ada")
    assert (400, "purpose") == (wrong.status, wrong.body["target"])


async def test_who_has_not_seen_a_change_changes_nothing(site: Site) -> None:
    """The ETag of a recording is that of its class and its holds; `If-Match` with an older one is a 412."""
    one = finished(8)
    path = f"v1/recordings/{one.recording_key}"
    settings = read_settings(site.environ)
    await put(settings, "archive", layout.manifest_blob(one.recording_key), one.model_dump_json(by_alias=True).encode())
    first = (await site.ask("GET", path, "grace")).headers["ETag"]
    case = {"case": "118", "reason": "subpoena"}

    placed = await site.ask("PUT", f"{path}/hold", "grace", body=case, **{"If-Match": first})
    late = await site.ask("PUT", f"{path}/hold", "grace", body=case | {"case": "119"}, **{"If-Match": first})
    forged = await site.ask("PUT", f"{path}/hold", "grace", body=case, **{"If-Match": "119"})
    seen = await site.ask("GET", path, "ada")
    lifted = [
        await site.ask("DELETE", f"{path}/hold?case=118&reason=settled", "grace", **{"If-Match": tag})
        for tag in (f"W/{seen.headers['ETag']}", f'"other", {seen.headers["ETag"]}', "*")
    ]

    assert (200, 412, "PreconditionFailed", 400) == (placed.status, late.status, late.body["code"], forged.status)
    assert ("If-Match", "If-Match") == (late.body["target"], forged.body["target"])
    assert first != placed.headers["ETag"] == seen.headers["ETag"]
    assert (["118"], "etag" in seen.body) == ([hold["case"] for hold in seen.body["holds"]], False)
    assert [412, 200, 200] == [answer.status for answer in lifted]
    assert first == lifted[-1].headers["ETag"]


async def test_without_its_settings_v1_answers_404_with_a_sentence(azurite: Azurite) -> None:
    """Whoever comes before it is set up is told how; today's paths work."""
    async with running(azurite, ENTRA_API_ID="") as site:
        answer = await site.ask("GET", "v1/recordings")
        today = await site.send("GET", "recordings")

    assert (404, 200) == (answer.status, today.status)
    assert "/v1 is off: set ENTRA_TENANT_ID and ENTRA_API_ID" in answer.body["message"]
