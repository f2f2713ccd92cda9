"""Whatever is malformed, what a caller or a manifest is told is this app's own text."""

import json
import re
from typing import Any

import azure.functions as func
import pytest
from aiohttp import web

import function_app
from recording import app as bootstrap
from recording.app import App
from recording.errors import ChunkError
from recording.model.attempts import Attempts
from tests.support.emulator import file_event
from tests.support.facts import receive
from tests.support.functions import Out
from tests.support.source import app_with_source, mp4, recording_of

DOCUMENT = "0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
GROUP = "3f2b0e4c-1111-4000-8000-000000000001"
FOREIGN = re.compile(
    r"Traceback|[a-z]Error\b|Exception|Value error|codec|surrogate|Errno|aiohttp|yarl|object at 0x|int string|literal"
)
BODIES: list[bytes] = [
    b"\xff\xfe",
    b"{",
    b"[" * 50_000,
    b'{"operationContext": "\\ud800", "eventType": "\\ud800"}',
    b'{"operationContext": ' + b"9" * 5_000 + b"}",
    b'{"recordingStateCallbackUri": "https://[", "conversationUrl": "https://[::1"}',
    b'{"conversationUrl": "https://\xed\xa0\x80"}',
    b'{"serverCallId": "//4="}',
]
VALUES = [
    "",
    "%",
    "..",
    "\x00",
    "\ud800",
    "\N{ARABIC-INDIC DIGIT TWO}" * 5,
    "9" * 5_000,
    "room:",
    "aHR0cHM6Ly9b",
    "//4=",
]
# What browsers show is no operation.
PAGES = {"page": function_app.page, "page_file": function_app.page_file}
ROUTES = {one.name: one.function for one in function_app.doors.endpoints} | PAGES


async def told(name: str, body: bytes, value: str) -> tuple[int, str]:
    """Call a function with a malformed body and a malformed value everywhere else; return its status and its text."""
    params = {key: value for key in ("from", "to", "limit", "cursor")}
    headers = {"Idempotency-Key": value, "Authorization": f"Bearer {value}", "X-MS-CLIENT-PRINCIPAL-NAME": value}
    route = {key: value for key in ("conversationId", "recordingId", "recordingKey", "index", "version", "file")}
    request = func.HttpRequest("POST", "/", headers=headers, params=params, route_params=route, body=body)
    more = {"jobs": Out()} if name == "receive_callback" else {}
    answer = await ROUTES[name](request, **more)
    return answer.status_code, answer.get_body().decode()


# Tokens are looked at, and nobody has any that names a key.
@pytest.mark.settings(ENTRA_TENANT_ID=GROUP, ENTRA_API_ID=GROUP, ENTRA_AUTHORITY="http://127.0.0.1:9")
@pytest.mark.parametrize("name", ROUTES)
async def test_no_raw_text_of_a_library_reaches_a_caller(app: App, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Malformed things at every route: each is refused in the contract's words, and none is an unexpected error."""
    monkeypatch.setattr(bootstrap, "_app", app)
    monkeypatch.setattr(bootstrap, "_is_prepared", True)

    for body, value in [*((body, GROUP) for body in BODIES), *((b"", value) for value in VALUES)]:
        status, text = await told(name, body, value)

        assert status < 500, (body[:40], value[:40], text)
        assert not FOREIGN.search(text), (body[:40], value[:40], text)


async def test_every_route_is_tried() -> None:
    """One that is not in the table of operations would be missing in the API's description, too."""
    served = {one.get_function_name() for one in function_app.app.get_functions() if one.is_http_function()}
    assert {*ROUTES} == served


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({"Content-Range": f"bytes 0-1023/{'9' * 5_000}"}, 1024),
        ({"Content-Range": f"bytes {'9' * 5_000}-1/1024"}, 1024),
        ({"Content-Range": "bytes \N{ARABIC-INDIC DIGIT TWO}-1/1024"}, 1024),
        ({"Content-Range": "bytes 0-1023/0"}, 1024),
        ({"Content-Range": "bytes 0-1023/999999999999999999"}, 1024),
        ({"ETag": "\ud800", "Content-Type": "\ud800"}, 1024),
    ],
)
async def test_no_raw_text_of_a_library_reaches_a_manifest(
    environment: dict[str, str], headers: dict[str, str], size: int
) -> None:
    """Whatever a source says of a document, the record of the attempt is in this app's words."""

    async def answer(_: web.Request) -> web.StreamResponse:
        status = 206 if "Content-Range" in headers else 200
        encoded = {name: value.encode(errors="surrogatepass").decode("latin-1") for name, value in headers.items()}
        return web.Response(status=status, body=mp4(size), headers=encoded)

    async with app_with_source(environment, answer) as app:
        [job] = await receive(app, file_event(recording_of(DOCUMENT)))
        shown: Any = []
        try:
            await app.ingest.run(job)
        except ChunkError as failed:
            record = Attempts.parse(await app.clients.blobs.read("staging", job.attempts_blob))
            assert record is not None
            shown = [failed.message, *((one.code, one.message) for one in record.failures)]
        manifest = (await app.catalogue.get(job.recording_key)).model_dump_json()

    assert not FOREIGN.search(json.dumps(shown) + manifest)
