"""Recordings to keep: apps with retention classes, and an archive that has versions, holds and policies."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from local.azurite import Azurite
from local.storage_proxy import StorageProxy
from local.storage_versions import Keeping
from recording.app import App
from recording.model.caller import Caller
from recording.model.keeping import Kept, LiftHold, PlaceHold, SetRetention
from recording.model.roles import Principal
from tests.support.facts import harmed

MANAGER = Caller(
    "Ada Lovelace", principal=Principal("person", "object-of-ada", "Ada Lovelace", frozenset({"Recordings.Manage"}))
)
CLASSES = "standard=90,court=2555,brief=1,history=forever"


@asynccontextmanager
async def protected(
    azurite: Azurite, environment: dict[str, str], **keeping: Any
) -> AsyncIterator[tuple[App, StorageProxy]]:
    """The app, and an archive with version-level immutability, as far as `keeping` doesn't say otherwise."""
    settings = {"RETENTION_CLASSES": CLASSES, "ARCHIVE_IMMUTABILITY": "true"}
    async with harmed(azurite, environment | settings) as (app, proxy):
        proxy.versioned.keeping = Keeping(containers=app.settings.archive_container, **keeping)
        yield app, proxy


async def place(app: App, key: str, case: str, reason: str = "subpoena") -> Any:
    """Place a hold."""
    return await app.keeping.place(MANAGER, key, PlaceHold(case=case, reason=reason))


async def lift(app: App, key: str, case: str) -> Any:
    """Lift a hold."""
    return await app.keeping.lift(MANAGER, key, LiftHold.model_validate({"case": case, "reason": "the case is closed"}))


async def retain(app: App, key: str, name: str) -> Any:
    """Set a retention class."""
    return await app.keeping.set_retention(MANAGER, key, SetRetention(retention_class=name, reason="a new contract"))


async def kept(app: App, key: str) -> Kept:
    """Return what the facts say."""
    return await app.keeping.keeping.find(key)


def cases(answer: Any) -> Sequence[str]:
    """Return the cases of an answer."""
    return [hold.case for hold in answer.holds]


async def on_platform(app: App, key: str) -> set[tuple[bool, bool]]:
    """Return how the blobs of a recording are protected: (on hold, under a policy)."""
    folder = f"{key[:4]}/{key[4:6]}/{key[6:8]}/{key}/"
    return {(one.hold, one.until is not None) for one in await app.clients.blobs.protections(folder)}
