"""A tenth of the recordings of a soak run are held, erased, or kept for seconds only, over HTTP, as people do it.

The events of what is erased come again at once, and once more when it has its certificate. `kept.py` checks the rest.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Literal, get_args

import aiohttp

from local.entra.directory import PEOPLE
from local.entra.server import Entra
from local.soak.kept import Done, folder, newest_certificate
from local.soak.source import SoakError, Source
from local.soak.watch import ARCHIVE, Watch

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
    done: dict[str, Done] = field(default_factory=dict)
    # What was erased and came again after that.
    _again: set[str] = field(default_factory=set)
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
            await self._bring_back()
            await asyncio.sleep(_PAUSE_SECONDS)

    def is_done(self) -> bool:
        """Return whether all that is to be erased has its certificate, and has come again."""
        return self._again == self.gone

    @property
    def gone(self) -> set[str]:
        """Return the keys of what is to be erased."""
        return {key for key, one in self.done.items() if one.is_gone}

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask the app for something under /v1, as somebody who may erase."""
        headers = {"Authorization": f"Bearer {self.entra.tokens.access(PEOPLE['alan'])}"}
        async with self.source.session.get(f"{self.app_url}/v1/{path}", headers=headers) as answer:
            return answer.status, await answer.json()

    async def _bring_back(self) -> None:
        """Publish the events of what was erased again."""
        for key in sorted(self.gone - self._again):
            if await newest_certificate(self.watch.archive, key) and await self._announce(self.done[key]):
                self._again.add(key)

    async def _announce(self, one: Done) -> bool:
        try:
            await self.source.control("POST", f"/recordings/{one.recording['recordingId']}/announce", {"times": 2})
        except (aiohttp.ClientError, SoakError):
            return False
        return True

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
        blobs: dict[str, str] = {}
        if what == "hold":
            blobs = {one.name: one.etag async for one in self.watch.archive.list_blobs(folder(key))}
        self.done[key] = Done(what, recording, blobs)
        if self.done[key].is_gone:
            await self._announce(self.done[key])

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
