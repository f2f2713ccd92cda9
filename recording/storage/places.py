"""Empties a place of storage for good: blobs, versions, snapshots, what is soft-deleted, uncommitted blocks.

What the service refuses stays, and is told with its reason; everything else is removed. So a removal can be repeated,
by the next process or with another role, and says each time what is left.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from azure.core.exceptions import HttpResponseError

from recording.errors import describe
from recording.model.stored import Container, StoredVersion
from recording.storage.blobs import Blobs
from recording.workers import run_each

_REQUESTS = 16
# Blob, version, soft-deleted version, for good: and once more for what came meanwhile.
_ROUNDS = 6
# What the service refuses for good: a role or the account's switch is missing, or the version is protected.
_REFUSED = (400, 403, 409)
# Why something is left, if nothing forbids its removal.
NOT_REMOVED = "not removed"


@dataclass(frozen=True)
class Remaining:
    """What is left of a blob: its name, how many versions, why, and until when, as far as that is known."""

    name: str
    count: int
    why: str
    until: datetime | None = None


@dataclass
class Emptied:
    """What was removed, by name: how many blobs, versions and snapshots; and what remains."""

    removed: dict[str, int] = field(default_factory=dict)
    remaining: list[Remaining] = field(default_factory=list)


class Places:
    """Removes blobs by prefix or by name, with all that the account keeps of them."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def empty(
        self, where: Container, prefixes: Iterable[str], *, wanted: Callable[[str], bool] = lambda name: True
    ) -> Emptied:
        """Remove everything under the prefixes whose name is `wanted`; raises azure-core's errors, but no refusal.

        Each prefix is listed again until a list has nothing that could be removed.
        """
        done = Emptied()
        for prefix in prefixes:
            refused: dict[StoredVersion, str] = {}
            # A deleted blob becomes a version, and a deleted version is soft-deleted: each is found by the next list.
            for _ in range(_ROUNDS):
                listed = await self._listed(where, prefix, wanted)
                todo = [one for one in listed if _as_refused(one) not in refused]
                if not todo:
                    break
                await run_each(partial(self._remove, where, done, refused), todo, at_once=_REQUESTS)
            done.remaining += _remaining(await self._listed(where, prefix, wanted), refused)
        return done

    async def remaining(
        self, where: Container, prefixes: Iterable[str], *, wanted: Callable[[str], bool] = lambda name: True
    ) -> list[Remaining]:
        """List what is there under the prefixes, with versions and what is soft-deleted; raises azure-core's errors."""
        found: list[Remaining] = []
        for prefix in prefixes:
            found += _remaining(await self._listed(where, prefix, wanted), {})
        return found

    async def _listed(self, where: Container, prefix: str, wanted: Callable[[str], bool]) -> list[StoredVersion]:
        return [one for one in await self._blobs.everything(where, prefix) if wanted(one.name)]

    async def _remove(
        self, where: Container, done: Emptied, refused: dict[StoredVersion, str], one: StoredVersion
    ) -> None:
        try:
            if await self._delete(where, one):
                done.removed[one.name] = done.removed.get(one.name, 0) + (not one.is_deleted)
            elif one.is_deleted:
                refused[_as_refused(one)] = "soft-deleted"
            elif one.is_current:
                await self._blobs.discard_blocks(where, one.name)
        except HttpResponseError as failed:
            if failed.status_code not in _REFUSED:
                raise
            refused[_as_refused(one)] = describe(failed).partition(" ")[2] or str(failed.status_code)

    async def _delete(self, where: Container, one: StoredVersion) -> bool:
        """Delete a version; its policy first, if it has one that isn't locked: it was set for its retention."""
        if one.kept_until and not one.is_locked and not one.is_deleted:
            try:
                await self._blobs.drop_policy(where, one)
            except HttpResponseError as failed:
                if failed.status_code not in (*_REFUSED, 404):
                    raise
        return await self._blobs.delete_wholly(where, one)


def _as_refused(one: StoredVersion) -> StoredVersion:
    """Return a version without what may differ between two lists."""
    return StoredVersion(
        one.name,
        version_id=one.version_id,
        snapshot=one.snapshot,
        is_current=one.is_current,
        is_deleted=one.is_deleted,
    )


def _remaining(listed: Iterable[StoredVersion], refused: dict[StoredVersion, str]) -> list[Remaining]:
    """List what is left by name and reason; what is soft-deleted ends by itself."""
    found: dict[tuple[str, str], list[StoredVersion]] = {}
    for one in listed:
        code = refused.get(_as_refused(one))
        why = "soft-deleted" if one.is_deleted else code or ("hold" if one.has_hold else NOT_REMOVED)
        found.setdefault((one.name, why), []).append(one)
    return [
        Remaining(name, len(some), why, max((t for v in some if (t := v.gone_at or v.kept_until)), default=None))
        for (name, why), some in found.items()
    ]
