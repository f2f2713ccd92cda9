"""schemathesis over the API of the local stack: what is described is what happens, whatever is sent."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from local.entra.directory import PEOPLE
from local.stack import Stack, StackOptions
from recording.model.roles import ROLES
from tests.acceptance.conftest import Say

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# The host answers 404 without `Allow` to a method that is not listed (docs/functions-host.md#http). An id that only ACS
# knows can't be made up, so good data may be refused, too.
EXCLUDED = ("unsupported_method", "allow_header_conformance", "positive_data_acceptance")
EXAMPLES = 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The local stack, once for all tests of this module."""
    async with Stack(StackOptions(logs=tmp_path_factory.mktemp("logs"))) as one:
        yield one


async def request(session: aiohttp.ClientSession, method: str, url: str, body: Any = None) -> Any:
    """Send JSON, return JSON."""
    async with session.request(method, url, json=body) as answer:
        assert answer.status in (200, 201), await answer.text()
        return await answer.json()


async def known(stack: Stack) -> dict[str, str]:
    """Record two calls, one of which is archived; return the ids of the live one and the key of the other.

    And the key of an event that is in quarantine.
    """
    operator = {"Authorization": f"Bearer {stack.entra.tokens.access(PEOPLE['edsger'])}"}
    async with aiohttp.ClientSession(headers=operator) as session:
        await request(session, "POST", f"{stack.app_url}/callbacks", {"no": "event"})
        quarantined = await request(session, "GET", f"{stack.app_url}/v1/operations/quarantined")
        event_key = quarantined["events"][0]["eventKey"]
        ids: dict[str, str] = {}
        for _ in range(2):
            call = await request(session, "POST", f"{stack.acs_url}/emulator/calls", {"participants": ["Ada"]})
            recordings = f"{stack.app_url}/conversations/{call['conversationId']}/recordings"
            started = await request(session, "POST", recordings, {})
            if not ids:
                await request(session, "POST", f"{stack.acs_url}/emulator/clock", {"advanceSeconds": 5})
                await request(session, "DELETE", f"{recordings}/{started['recordingId']}")
            ids = {"conversationId": call["conversationId"], "recordingId": started["recordingId"], "index": "0"}
        async with asyncio.timeout(60):
            while True:
                listed = await request(session, "GET", f"{stack.app_url}/recordings")
                if found := [one for one in listed["recordings"] if one["state"] == "archived"]:
                    return ids | {"recordingKey": found[0]["recordingKey"], "eventKey": event_key}
                await asyncio.sleep(0.5)


async def run(stack: Stack, say: Say, config: Path, *arguments: str) -> None:
    """Run schemathesis beside its configuration, and show its summary; it fails with the requests that found something.

    It leaves a cache there.
    """
    ran = await asyncio.create_subprocess_exec(
        *(str(SCHEMATHESIS), "--config-file", str(config), "run", f"{stack.app_url}/openapi.json", "--no-color"),
        *("--max-redirects", "0", "--request-timeout", "30", "--continue-on-failure", "--seed", "1", *arguments),
        cwd=config.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(ran.communicate(), 500)
    finally:
        if ran.returncode is None:
            ran.kill()
            await ran.wait()
    said = output.decode()
    say(said[said.index(" SUMMARY ") :] if " SUMMARY " in said else said)
    assert ran.returncode == 0, said


async def test_v1_does_what_is_described(stack: Stack, tmp_path: Path, say: Say) -> None:
    """No 500, no undocumented status, no answer outside its schema: as somebody with every role."""
    token = stack.entra.tokens.access(PEOPLE["ada"], roles=list(ROLES))
    ids = await known(stack)
    real, made_up = tmp_path / "real.toml", tmp_path / "made-up.toml"
    # Any 4xx refuses bad data: a long address gets a 414.
    refused = '[checks]\nnegative_data_rejection.expected-statuses = ["4xx"]\n'
    made_up.write_text(refused)
    real.write_text(
        refused + "[parameters]\n" + "".join(f'"path.{name}" = {json.dumps(one)}\n' for name, one in ids.items())
    )
    # First with ids that are made up, then with those of real recordings.
    for config in (made_up, real):
        await run(
            stack,
            say,
            config,
            *("--include-path-regex", "^/v1/", "--exclude-checks", ",".join(EXCLUDED)),
            *(
                "--header",
                f"Authorization: Bearer {token}",
                "--max-examples",
                str(EXAMPLES),
                "--phases",
                "examples,coverage,fuzzing",
            ),
        )


async def test_the_door_of_keys_does_what_is_described(stack: Stack, tmp_path: Path, say: Say) -> None:
    """With the examples of the description; the local host asks for no key."""
    config = tmp_path / "config.toml"
    config.write_text("")
    await run(
        stack,
        say,
        config,
        *("--exclude-path-regex", "^/v1/", "--exclude-checks", ",".join([*EXCLUDED, "ignored_auth"])),
        *("--phases", "examples"),
    )
