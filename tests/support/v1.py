"""The app in the local host, with an Entra stand-in beside the emulator: what asks it asks over HTTP."""

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from local.acs.server import Emulator, Options
from local.azurite import Azurite
from local.entra.directory import PEOPLE, Person, Service
from local.entra.server import Entra
from local.functions.host import Host

ROOT = Path(__file__).parents[2]
_numbers = itertools.count()


@dataclass(frozen=True)
class Answer:
    """What a request got; `body` is None where there is no JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str = ""


@dataclass
class Site:
    """The app that runs, and what stands beside it."""

    host: Host
    entra: Entra
    acs: Emulator
    session: aiohttp.ClientSession
    environ: dict[str, str]

    async def ask(
        self, method: str, path: str, who: Person | Service | str | None = "ada", *, body: Any = None, **headers: str
    ) -> Answer:
        """Send a request as a person of the stand-in by login, as a service, or with nobody's token."""
        person = PEOPLE[who] if isinstance(who, str) else who
        bearer = {"Authorization": f"Bearer {self.entra.tokens.access(person)}"} if person else {}
        return await self.send(method, path, body=body, **bearer, **headers)

    async def send(self, method: str, path: str, *, body: Any = None, **headers: str) -> Answer:
        """Send a request as it is."""
        url = f"{self.host.url}/{path.lstrip('/')}"
        async with self.session.request(method, url, json=body, headers=headers, allow_redirects=False) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return Answer(answer.status, answer.headers, json.loads(text) if text and is_json else None, text)


@asynccontextmanager
async def running(azurite: Azurite, **settings: str) -> AsyncIterator[Site]:
    """Run the app with containers of its own; `settings` are further app settings."""
    number = f"v1-{next(_numbers)}"
    async with (
        Emulator(Options(announce_delay_seconds=0.0)) as acs,
        Entra() as entra,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
    ):
        environ = {
            "AzureWebJobsStorage": azurite.connection_string,
            "DERIVED_STORAGE": azurite.connection_string,
            "ACS_CONNECTION_STRING": acs.connection_string,
            # Never in the course of a test.
            "ARCHIVE_SCHEDULE": "0 0 0 1 1 *",
            **{
                f"{one.upper()}_CONTAINER": f"{one}-{number}" for one in ("staging", "archive", "quarantine", "derived")
            },
            **entra.settings(),
            **settings,
        }
        async with Host(app_dir=ROOT, environ=environ) as host:
            yield Site(host, entra, acs, session, environ)
