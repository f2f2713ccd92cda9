"""A client of the emulator: its control plane, and signed downloads."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

API_VERSION = "2021-04-15-preview1"
Part = Literal["content", "metadata"]


class SoakError(Exception):
    """The run can't continue, or didn't end in time; the message says why."""


@dataclass(frozen=True)
class Source:
    """A client of the emulator at `url`; `access_key` is its key in base64."""

    session: aiohttp.ClientSession
    url: str
    access_key: str

    async def control(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Send a request to the control plane and return its JSON; raises SoakError for any other status."""
        return await request(self.session, method, f"{self.url}/emulator{path}", body, status=status)

    @asynccontextmanager
    async def document(
        self, chunk: Mapping[str, Any], *, part: Part = "content"
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Download a chunk or its metadata file; `chunk` is the emulator's view of it.

        See docs/acs-contract.md#2021-download, #storage-host, #hmac.
        """
        host = urlsplit(self.url).netloc
        end = "/metadata" if part == "metadata" else ""
        old = f"{self.url}/recording/download/{chunk['documentId']}{end}?api-version={API_VERSION}"
        url = URL(chunk.get(f"{part}Location", old), encoded=True)
        headers = sign("GET", url.raw_path_qs, host=host, key=self.access_key) | {"x-ms-host": host}
        async with self.session.get(url, headers=headers) as answer:
            if answer.status != 200:
                raise SoakError(f"the emulator answered {answer.status} for {url.path}")
            yield answer.content


async def request(session: aiohttp.ClientSession, method: str, url: str, body: Any = None, *, status: int = 200) -> Any:
    """Send JSON and return the JSON of the answer; raises SoakError for any other status."""
    async with session.request(method, url, json=body) as answer:
        if answer.status != status:
            raise SoakError(f"{method} {url} answered {answer.status}, not {status}: {await answer.text()}")
        return await answer.json()


def sign(method: str, target: str, *, host: str, key: str) -> dict[str, str]:
    """Sign a request without a body by HMAC-SHA256 (docs/acs-contract.md#hmac)."""
    date = format_datetime(datetime.now(UTC), usegmt=True)
    body_hash = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    text = f"{method}\n{target}\n{date};{host};{body_hash}"
    signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), "sha256").digest()).decode()
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": body_hash,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    }
