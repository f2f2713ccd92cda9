"""A client of the emulator that signs by code of its own, written from the service's description."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import aiohttp
from yarl import URL

VERSION = "2021-04-15-preview1"


def signed_headers(
    method: str,
    path_and_query: str,
    *,
    host: str,
    key: str,
    body: bytes = b"",
    date_header: str = "x-ms-date",
    now: datetime | None = None,
) -> dict[str, str]:
    """Sign a request as the C# sample of April 2021 and the SDKs do."""
    date = format_datetime(now or datetime.now(UTC), usegmt=True)
    body_hash = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method}\n{path_and_query}\n{date};{host};{body_hash}"
    signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), "sha256").digest()).decode()
    return {
        date_header: date,
        "x-ms-content-sha256": body_hash,
        "Authorization": f"HMAC-SHA256 SignedHeaders={date_header};host;x-ms-content-sha256&Signature={signature}",
    }


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Any
    body: bytes
    json: Any


@dataclass(frozen=True)
class Client:
    """Talk to one emulator."""

    session: aiohttp.ClientSession
    endpoint: str
    key: str

    async def api(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        version: str | None = VERSION,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one signed request to the service API; the path is sent as it is."""
        target = path if version is None else f"{path}?api-version={version}"
        host = self.endpoint.removeprefix("http://")
        signed = signed_headers(method, target, host=host, key=self.key, body=body)
        return await self.raw(method, target, body=body, headers=signed | (headers or {}))

    async def raw(
        self, method: str, target: str, *, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        """Send one request as it is."""
        url = URL(self.endpoint + target, encoded=True)
        async with self.session.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
            raw = await response.read()
            is_whole_json = response.content_type == "application/json" and raw and response.status != 206
            return Answer(response.status, response.headers, raw, json.loads(raw) if is_whole_json else None)

    async def stored(self, method: str, location: str, **headers: str) -> Answer:
        """Send one request to the storage host, signed with the name of the resource.

        See docs/acs-contract.md#storage-host.
        """
        host = self.endpoint.removeprefix("http://")
        url = URL(location, encoded=True)
        signed = signed_headers(method, url.raw_path_qs, host=host, key=self.key)
        async with self.session.request(
            method, url, headers={"x-ms-host": host} | signed | headers, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read(), None)

    async def control(self, method: str, path: str, body: Any = None) -> Answer:
        """Send one request to the control plane."""
        async with self.session.request(method, f"{self.endpoint}/emulator{path}", json=body) as response:
            return Answer(response.status, response.headers, await response.read(), await response.json())

    async def call(self, **more: Any) -> Any:
        """Place a call and return it."""
        answer = await self.control("POST", "/calls", {"participants": ["Ada Lovelace", "Grace Hopper"], **more})
        assert answer.status == 201, answer.json
        return answer.json

    async def start(self, conversation: str) -> str:
        """Start a recording and return its path under ``/conversations``."""
        answer = await self.api("POST", f"/conversations/{conversation}/recordings", body=b"{}")
        assert answer.status == 200, answer.json
        return f"/conversations/{conversation}/recordings/{answer.json['recordingId']}"

    async def advance(self, seconds: float) -> None:
        """Move the emulator's clock."""
        assert (await self.control("POST", "/clock", {"advanceSeconds": seconds})).status == 200

    async def filler(self, *sizes: int, **more: Any) -> Any:
        """Make a finished recording of filler and return it."""
        body = {"media": {"kind": "filler", "chunkBytes": list(sizes)}, **more}
        answer = await self.control("POST", "/recordings", body)
        assert answer.status == 201, answer.json
        return answer.json

    async def subscribe(self, endpoint: str, *event_types: str) -> None:
        """Subscribe an endpoint, under the name ``to-app``, to some event types or to all."""
        body = {"name": "to-app", "endpoint": endpoint, "includedEventTypes": list(event_types)}
        answer = await self.control("POST", "/subscriptions", body)
        assert answer.status == 201, answer.json

    async def fault(self, **rule: Any) -> None:
        """Add one fault rule."""
        answer = await self.control("POST", "/faults", rule)
        assert answer.status == 201, answer.json


async def eventually[T](probe: Callable[[], Awaitable[T | None]], *, seconds: float = 8.0) -> T:
    """Ask again and again until the answer is neither None nor false; fail after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not (found := await probe()):
            await asyncio.sleep(0.02)
        return found
