"""A tenth of the recordings of a soak run are held, erased, or kept for seconds only, over HTTP, as people do it.

From outside it is then checked that nothing on hold is deleted, that nothing erased returns though its event comes
again, and that each deletion has a tombstone and a certificate that says what is there.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Literal, get_args

import aiohttp
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from local.entra.directory import PEOPLE
from local.entra.server import Entra
from local.soak.source import Source
from local.soak.watch import ARCHIVE, Watch, key_of

What = Literal["hold", "erase", "expire"]
_TURNS: tuple[What, ...] = get_args(What)
# Every tenth recording, in the order in which they are archived.
EVERY = 10
# The default is for ever, so that no policy keeps a recording from getting the class that ends within seconds. An
# erasure happens with the next run of the timer.
SETTINGS = {"RETENTION_CLASSES": "history=forever,brief=0.0001", "ERASURE_DELAY_HOURS": "0"}
# The archive of the run; the emulated account keeps what is deleted for a day, unless it is deleted for good.
KEEPING = {"containers": ARCHIVE, "softDeleteDays": 1, "permanentDelete": True}
_CASE = "soak"
_PAUSE_SECONDS = 1.0
# A request that failed by a fault, or while the host was down, is repeated.
_TRIES = 60


@dataclass
class Keeper:
    """Does something to every tenth recording that was archived; `done` has what, by recording key."""

    source: Source
    watch: Watch
    app_url: str
    entra: Entra
    done: dict[str, What] = field(default_factory=dict)
    _looked_at: int = 0
    _turn: Iterator[What] = field(default_factory=lambda: cycle(_TURNS))

    async def run(self, recordings: dict[str, dict[str, Any]]) -> None:
        """Act until cancelled; `recordings` are those that were made, by key."""
        while True:
            archived = self.watch.archived
            while self._looked_at + EVERY <= len(archived):
                self._looked_at += EVERY
                key = archived[self._looked_at - 1].key
                if key in recordings:
                    await self._act(key, recordings[key])
            await asyncio.sleep(_PAUSE_SECONDS)

    async def is_done(self) -> bool:
        """Return whether all that is to be erased has its certificate."""
        return all([await is_erased(self.watch.archive, key) for key in self.gone])

    @property
    def gone(self) -> set[str]:
        """Return the keys of what is to be erased."""
        return {key for key, what in self.done.items() if what != "hold"}

    async def _act(self, key: str, recording: dict[str, Any]) -> None:
        what = next(self._turn)
        path = f"/v1/recordings/{key}"
        match what:
            case "hold":
                await self._ask("grace", "PUT", f"{path}/hold", {"case": _CASE, "reason": "a soak"})
                # What is on hold isn't erased, and its time doesn't end.
                await self._ask("grace", "PUT", f"{path}/retention", {"retentionClass": "brief", "reason": "x"}, 409)
                await self._ask("alan", "POST", f"{path}/erase", {"reason": "not-needed", "text": "a soak"}, 409)
            case "erase":
                await self._ask("alan", "POST", f"{path}/erase", {"reason": "not-needed", "text": "a soak"}, 202)
            case "expire":
                await self._ask("grace", "PUT", f"{path}/retention", {"retentionClass": "brief", "reason": "a soak"})
        self.done[key] = what
        if what != "hold":
            announce = f"/recordings/{recording['recordingId']}/announce"
            with contextlib.suppress(aiohttp.ClientError):
                await self.source.control("POST", announce, {"times": 2})

    async def _ask(self, login: str, method: str, path: str, body: dict[str, Any], expected: int = 200) -> None:
        token = self.entra.tokens.access(PEOPLE[login])
        status, text = 0, ""
        for _ in range(_TRIES):
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self.source.session.request(
                    method, f"{self.app_url}{path}", json=body, headers={"Authorization": f"Bearer {token}"}
                ) as answer:
                    status, text = answer.status, await answer.text()
                if status == expected:
                    return
            await asyncio.sleep(_PAUSE_SECONDS)
        raise RuntimeError(f"{method} {path} is answered with {status}, not {expected}: {text[:200]}")


def by_key(recordings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return recordings by their key."""
    return {key_of(one): one for one in recordings}


async def is_erased(archive: ContainerClient, key: str) -> bool:
    """Return whether there is a certificate of a recording's erasure."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    names = [name async for name in archive.list_blob_names(name_starts_with=f"erasures/{digest}/")]
    return any("certificate" in name for name in names)


async def check(archive: ContainerClient, done: dict[str, What]) -> list[str]:
    """Look at what was held or erased, in an account that shows versions; return what is wrong, a sentence each."""
    wrong: list[str] = []
    for key, what in done.items():
        folder, digest = f"{key[:4]}/{key[4:6]}/{key[6:8]}/{key}/", hashlib.sha256(key.encode()).hexdigest()
        there = [one.name async for one in archive.list_blobs(folder, include=["versions", "deleted"])]
        certificates = [name async for name in archive.list_blob_names(name_starts_with=f"erasures/{digest}/")]
        certificates = [name for name in certificates if "certificate" in name]
        if what == "hold":
            if not there or certificates:
                wrong.append(f"{key} is on hold, and was erased")
            continue
        if there:
            wrong.append(f"{key} was to be erased, and {len(there)} blobs or versions are there, such as {there[0]}")
        if not certificates or not await _exists(archive, f"tombstones/{digest}.json"):
            wrong.append(f"{key} was to be erased, and has no tombstone or no certificate")
            continue
        said = json.loads(await (await archive.download_blob(max(certificates))).readall())
        left = [one for one in said["left"] if one["place"] == "archive"]
        if left and not there:
            wrong.append(f"the certificate of {key} says that {left} is left, and nothing is there")
    return wrong


async def _exists(archive: ContainerClient, name: str) -> bool:
    try:
        await archive.get_blob_client(name).get_blob_properties()
    except ResourceNotFoundError:
        return False
    return True
