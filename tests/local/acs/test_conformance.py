"""The official SDK, newest and an older release, does every recording operation against the emulator.

Signatures are checked. ``pytest -s`` lists the operations with their outcomes.
"""

import asyncio
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from azure.communication.callautomation._api_versions import DEFAULT_VERSION

from local.acs.server import Emulator

from .client import Client

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("official_client.py")
NEWEST, OLDER = version("azure-communication-callautomation"), "1.2.0"
FOLDERS = {NEWEST: None, OLDER: ROOT / ".venv" / f"sdk-{OLDER}"}
API_VERSIONS = {NEWEST: DEFAULT_VERSION, OLDER: "2024-04-15"}

ACTIVE, INACTIVE = "active azureCommunicationServices", "inactive azureCommunicationServices"
SAME = "the same bytes"
ABSENT, REFUSED, BUG = "not in this version", "refused by the client", "a bug of the client"
UNAUTHORIZED = "ClientAuthenticationError 401"
GONE = "ResourceNotFoundError 404"
OUTCOMES = [
    ("start by group", ACTIVE),
    ("stop", "done"),
    ("start by room", ACTIVE),
    ("stop", "done"),
    ("start by connection", ACTIVE),
    ("stop", "done"),
    ("start by server call", ACTIVE),
    ("start again while it runs", "ResourceExistsError 409 409"),
    ("get", ACTIVE),
    ("pause", "done"),
    ("get while paused", INACTIVE),
    ("resume", "done"),
    ("get after resume", ACTIVE),
    ("stop", "done"),
    ("get after stop", f"{GONE} 404"),
    ("pause after stop", f"{GONE} 404"),
    ("resume after stop", f"{GONE} 404"),
    ("stop after stop", f"{GONE} 404"),
    ("start by an unknown call", "HttpResponseError 400 8527"),
    ("start: unmixed wav with affinity", ACTIVE),
    ("stop", "done"),
    ("start: unmixed wav with ordering", ACTIVE),
    ("stop", "done"),
    ("start: pause on start", INACTIVE),
    ("stop", "done"),
    ("start: own container", ACTIVE),
    ("stop", "done"),
    ("start: unmixed mp3", "HttpResponseError 400 400"),
    ("start: a callback that is relative", "HttpResponseError 400 BadRequest"),
    ("start", ACTIVE),
    ("start, sent again", "the same recording"),
    ("start, only accepted", INACTIVE),
    ("get after the call", f"{GONE} 404"),
    ("download content", SAME),
    ("download content to a file", SAME),
    ("download a range", "24 bytes"),
    ("download from an offset", "1 bytes"),
    ("download metadata", "JSON of this chunk"),
    ("download from a plain address", REFUSED),
    ("download, redirected", UNAUTHORIZED),
    ("download, redirected, the second hop signed", SAME),
    ("delete", "done"),
    ("delete again", GONE),
    ("download after delete", GONE),
    ("wrong key: start", f"{UNAUTHORIZED} 401"),
    ("wrong key: get", f"{UNAUTHORIZED} 401"),
    ("wrong key: download", UNAUTHORIZED),
    ("wrong key: delete", UNAUTHORIZED),
]
# What a client does not have (docs/acs-contract.md#versions, #start-request, #storage-host), or gets wrong itself,
# before the emulator hears of it.
DIFFERENCES = {
    (NEWEST, "sync"): {},
    (NEWEST, "async"): {},
    (OLDER, "sync"): {
        "start by room": ABSENT,
        "start by connection": ABSENT,
        "start: unmixed wav with ordering": REFUSED,
        "start, only accepted": ACTIVE,  # Its api-version has no 202.
        "download from an offset": "3000001 bytes",  # It asks for "bytes=3000000", which says nothing.
        "download from a plain address": SAME,  # It sends its signature anywhere.
    },
}
DIFFERENCES[OLDER, "async"] = DIFFERENCES[OLDER, "sync"] | {
    "delete": BUG,
    "delete again": BUG,
    "download after delete": SAME,
    "wrong key: delete": BUG,
}


def _expected(release: str, kind: str) -> list[tuple[str, str]]:
    """Return the outcomes of one client; a stop is there where something has started."""
    table: list[tuple[str, str]] = []
    for name, usual in OUTCOMES:
        if name == "stop" and table[-1][1] in (ABSENT, REFUSED):
            continue
        table.append((name, DIFFERENCES[release, kind].get(name, usual)))
    return table


async def _run(emulator: Emulator, release: str, kind: str) -> list[tuple[str, str]]:
    folder = FOLDERS[release]
    assert folder is None or folder.is_dir(), f"{folder} is missing: run make setup"
    bench = {
        "endpoint": emulator.endpoint,
        "key": emulator.options.access_key,
        "storage": emulator.storage_url,
        "region": emulator.region_url,
        "client": kind,
    }
    environment = {**os.environ, "PYTHONPATH": str(folder or "")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), json.dumps(bench)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    return [(name, outcome) for name, outcome in map(json.loads, output.splitlines())]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("release", [NEWEST, OLDER])
async def test_operations(emulator: Emulator, client: Client, release: str, kind: str) -> None:
    """Every operation of the SDK has the outcome that it has with the service, and only signed requests count."""
    *outcomes, told = await _run(emulator, release, kind)
    requests = (await client.control("GET", "/requests")).json["requests"]

    print(f"\nazure-communication-callautomation {release}, {kind}: {len(outcomes)} operations")
    for name, outcome in outcomes:
        print(f"  {name:<45} {outcome}")
    assert told == ("version", release)
    assert _expected(release, kind) == outcomes
    api = [one for one in requests if one["path"].startswith("/calling/")]
    assert {f"api-version={API_VERSIONS[release]}"} == {one["query"] for one in api}
    assert {200, 202, 204, 400, 401, 404, 409} >= {one["status"] for one in api} >= {200, 202, 204, 404}
