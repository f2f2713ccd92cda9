"""Examine containers and queues: each is tried as the app uses it, and left as it was.

Test blobs are in a folder that the timer ignores, test messages in a queue that is made for the examination.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from recording import crc64
from recording.config import account
from recording.config.account import StorageAccount
from recording.config.settings import Settings
from recording.doctor import reach
from recording.doctor.finding import Finding
from recording.errors import describe
from recording.model import layout
from recording.model.proof import ByteRange
from recording.model.stored import Container
from recording.storage.blobs import Blobs, CopyFailed
from recording.storage.queues import Queue

_CONTAINERS: tuple[Container, ...] = ("staging", "archive", "quarantine")
_DERIVED: tuple[Container, ...] = ("derived",)
_IMMUTABLE = ("BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold")


@dataclass(frozen=True)
class _Place:
    """The service of an account, and the setting that names the account."""

    account: StorageAccount
    setting: str
    service: Literal["blob", "queue"]

    @property
    def address(self) -> str:
        return account.service_url(self.account, self.service)

    @property
    def name(self) -> str:
        return account.account_name(self.address)


async def examine_storage(
    settings: Settings,
    storage: Blobs,
    queues: Sequence[tuple[Queue, Queue]],
    scratch: Queue,
    *,
    timeout: float = 15.0,
) -> list[Finding]:
    """Try the containers, the copy between them, and the queues.

    `queues` are the app's, each with its poison queue, `scratch` is one that doesn't exist yet, for test messages.
    Each check has `timeout` seconds, and a third of that for deleting what it made.
    """
    blobs, messages = await asyncio.gather(
        _containers(settings, storage, timeout), _queues(settings, queues, scratch, timeout)
    )
    return [*blobs, *messages]


async def _containers(settings: Settings, storage: Blobs, timeout: float) -> list[Finding]:
    used = [*_CONTAINERS, *_DERIVED] if settings.keeps_derived else [*_CONTAINERS]
    places = {where: _place(settings, where) for where in used}
    addresses = {place.address: place for place in places.values()}
    probed = dict(zip(addresses, await asyncio.gather(*map(_probe, addresses.values())), strict=True))
    bad = {address for address, finding in probed.items() if finding.mark == "fail"}

    async def container(where: Container) -> Finding:
        place, called = places[where], str(getattr(settings, f"{where}_container"))
        name = f"{where} container"
        if place.address in bad:
            return Finding(name, "skipped", "skipped until the account is reachable")
        check = _forget(storage, place, timeout / 3) if where == "derived" else _use(storage, where, timeout / 3)
        return await _try(name, called, place, check, timeout)

    async def copy() -> Finding:
        if bad:
            return Finding("archive copy", "skipped", "skipped until the account is reachable")
        check = _copy(storage, timeout / 3)
        return await _try("archive copy", settings.archive_container, places["archive"], check, timeout)

    unset = "skipped until DERIVED_STORAGE is set: no joined files and exports"
    off = [] if settings.keeps_derived else [Finding("derived container", "skipped", unset)]
    return [*probed.values(), *await asyncio.gather(*map(container, used), copy()), *off]


async def _queues(
    settings: Settings, queues: Sequence[tuple[Queue, Queue]], scratch: Queue, timeout: float
) -> list[Finding]:
    place = _Place(settings.host_storage, "AzureWebJobsStorage", "queue")
    probed = await _probe(place)
    # Named by the queues themselves: a list of names here would miss the next one.
    pairs = {f"{queue.name.removeprefix('recording-')} queue": (queue, poison) for queue, poison in queues}
    if probed.mark == "fail":
        names = ("queue use", *pairs)
        return [probed, *(Finding(name, "skipped", "skipped until the account is reachable") for name in names)]
    tried = await asyncio.gather(
        _try("queue use", scratch.name, place, _send(scratch, timeout / 3), timeout),
        *(_try(name, pair[0].name, place, _depth(name, *pair), timeout) for name, pair in pairs.items()),
    )
    return [probed, *tried]


async def _probe(place: _Place) -> Finding:
    fix = f"check the account in {place.setting}, and its network rules: " + _show(place, "networkRuleSet")
    return await reach.probe(f"{place.service} storage", place.address, fix)


async def _use(storage: Blobs, where: Container, tidy_timeout: float) -> str:
    """Write, read and delete a blob."""
    name, body = _blob(), secrets.token_bytes(64)
    async with _tidied(storage, (where, name), timeout=tidy_timeout):
        await storage.create(where, name, body)
        if await storage.read(where, name) != body:
            raise CopyFailed("read back differs from what was written")
        try:
            await storage.delete(where, name)
        except HttpResponseError as kept:
            if getattr(kept, "error_code", None) not in _IMMUTABLE:
                raise
            return f"written and read; its policy keeps {name}"
    return "written, read, deleted"


async def _forget(storage: Blobs, place: _Place, tidy_timeout: float) -> str | Finding:
    """Write, read and delete a derived file: nothing may be left of one that is erased with its recording."""
    name, body = _blob(), secrets.token_bytes(64)
    async with _tidied(storage, ("derived", name), timeout=tidy_timeout):
        await storage.create("derived", name, body)
        if await storage.read("derived", name) != body:
            raise CopyFailed("read back differs from what was written")
        await storage.delete("derived", name)
        kept_by = await storage.kept_by("derived", name)
    if kept_by is None:
        return "written, read, deleted, and nothing is left"
    option = "--enable-versioning" if kept_by == "versions" else "--enable-delete-retention"
    why = f"{kept_by} of the account would keep what is deleted: an erased recording would live on in its joined file"
    fix = (
        "give DERIVED_STORAGE an account of its own, or, if nothing else is in this one: az storage account "
        f"blob-service-properties update -n {place.name} {option} false"
    )
    return Finding("derived container", "fail", why, fix)


async def _copy(storage: Blobs, tidy_timeout: float) -> str:
    """Copy a blob as the archive does, by the server."""
    name = _blob()
    async with _tidied(storage, ("staging", name), ("archive", name), timeout=tidy_timeout, always=True):
        body = secrets.token_bytes(64)
        await storage.create("staging", name, body)
        if (source := await storage.stat("staging", name)) is None:
            raise CopyFailed("the blob that was written doesn't exist")
        whole = ByteRange(0, len(body), crc64.crc64(body))
        if await storage.copy_to_archive(source, name, [whole], content_type="application/octet-stream") is None:
            raise CopyFailed("the copy was refused")
    return "copied from staging by the server"


async def _send(scratch: Queue, tidy_timeout: float) -> str:
    """Send and receive a message, in a queue that has no other reader."""
    await scratch.create()
    try:
        await scratch.send("examination")
        if not [message async for message in scratch.receive(limit=1, hidden_seconds=30)]:
            raise CopyFailed("a message that was sent did not arrive")
    finally:
        with contextlib.suppress(AzureError, TimeoutError):
            async with asyncio.timeout(tidy_timeout):
                await scratch.delete_queue()
    return "made, sent to, received from, deleted"


async def _depth(name: str, queue: Queue, poison: Queue) -> str | Finding:
    """Count the messages; the host creates the poison queue when it first needs it."""
    waiting = await queue.depth()
    try:
        poisoned = await poison.depth()
    except ResourceNotFoundError:
        poisoned = 0
    if poisoned:
        why = f"{queue.name}: {waiting} waiting, {poisoned} given up"
        fix = "see poison-message in docs/runbook.md; the next run of the timer accepts them"
        return Finding(name, "warn", why, fix)
    return f"{waiting} waiting, none given up"


def _blob() -> str:
    return f"{layout.DOCTOR}/{secrets.token_hex(8)}.json"


@asynccontextmanager
async def _tidied(
    storage: Blobs, *blobs: tuple[Container, str], timeout: float, always: bool = False
) -> AsyncIterator[None]:
    """Delete the blobs of a check that failed; `always` those of one that succeeded, too."""
    is_done = False
    try:
        yield
        is_done = True
    finally:
        if always or not is_done:
            with contextlib.suppress(AzureError, TimeoutError):
                async with asyncio.timeout(timeout):
                    for where, name in blobs:
                        await storage.delete(where, name)


async def _try(name: str, called: str, place: _Place, check: Awaitable[str | Finding], timeout: float) -> Finding:
    """Run one check in its time; what it raises becomes the finding."""
    try:
        async with asyncio.timeout(timeout):
            found = await check
    except TimeoutError:
        return Finding(name, "fail", f"{called}: not done within {timeout:g} s", _show(place, "statusOfPrimary"))
    except CopyFailed as failed:
        return Finding(name, "fail", f"{called}: {failed}", _show(place, "statusOfPrimary"))
    except AzureError as failed:
        return Finding(name, "fail", f"{called}: {describe(failed)}", _fix(failed, called, place))
    return found if isinstance(found, Finding) else Finding(name, "ok", f"{called}: {found}")


def _fix(failed: AzureError, called: str, place: _Place) -> str:
    if isinstance(failed, ResourceNotFoundError):
        kind = "container" if place.service == "blob" else "queue"
        made = f"az storage {kind} create --auth-mode login --account-name {place.name} --name {called}"
        return f"{made}; or GET /health of the app, which creates what is missing"
    if isinstance(failed, ClientAuthenticationError) and failed.response is None:
        return f"az login (there is no token for the identity), or put a connection string into {place.setting}"
    if not isinstance(failed, ClientAuthenticationError) and getattr(failed, "status_code", None) not in (401, 403):
        return _show(place, "statusOfPrimary")
    if place.account.connection_string is not None:
        return (
            f"put a valid key, or a SAS with all permissions, into {place.setting}: "
            f"az storage account keys list -n {place.name}; then check: {_show(place, 'networkRuleSet')}"
        )
    role = f"Storage {place.service.title()} Data {'Owner' if place.service == 'blob' else 'Contributor'}"
    return (
        f'azd provision (the app\'s identity), or for your own login: az role assignment create --role "{role}" '
        f'--assignee "$(az ad signed-in-user show --query id -o tsv)" --scope "$({_show(place, "id")} -o tsv)"'
    )


def _show(place: _Place, member: str) -> str:
    return f"az storage account show -n {place.name} --query {member}"


def _place(settings: Settings, where: Container) -> _Place:
    field = f"{where}_storage" if where in ("archive", "derived") else "staging_storage"
    account: StorageAccount = getattr(settings, field)
    # An account that isn't set is the host's (settings.py).
    is_hosts = account == settings.host_storage and where != "derived"
    return _Place(account, "AzureWebJobsStorage" if is_hosts else field.upper(), "blob")
