"""Use case: examine whether a deployment can do its work."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import uuid4

from recording.acs.service import RecordingService
from recording.config.settings import Settings
from recording.doctor import contradictions, reach, stores
from recording.doctor.finding import Finding
from recording.errors import BadRequest, Conflict, Misconfigured, NotFound, RecordingError
from recording.storage.blobs import Blobs
from recording.storage.queues import Queue
from recording.urls import is_loopback


def unreadable(wrong: Misconfigured) -> list[Finding]:
    """Return the findings for settings that can't be read: nothing else can be examined."""
    fix = (
        'az functionapp config appsettings set -g "$AZURE_RESOURCE_GROUP" -n "$FUNCTION_APP_NAME" '
        "--settings <name>=<value>; on a laptop: local.settings.json"
    )
    return [
        Finding("settings", "fail", wrong.message, fix),
        Finding("all else", "skipped", "needs settings that can be read"),
    ]


async def examine(
    settings: Settings,
    *,
    storage: Blobs,
    service: RecordingService,
    queues: Sequence[tuple[Queue, Queue]],
    scratch: Queue,
    timeout: float = 15.0,
) -> list[Finding]:
    """Examine everything at once; each check has `timeout` seconds, and leaves nothing behind."""
    api = settings.acs_api_version or "Call Automation"
    by = "a key" if settings.resource().access_key else "the identity"
    stored, called, hosts = await asyncio.gather(
        stores.examine_storage(settings, storage, queues, scratch, timeout=timeout),
        _acs(settings, service, timeout),
        _hosts(settings),
    )
    read = Finding("settings", "ok", f"read: ACS by {by}, its API {api}")
    return [read, *contradictions.find_contradictions(settings), *stored, *called, *hosts]


async def _acs(settings: Settings, service: RecordingService, timeout: float) -> list[Finding]:
    endpoint = settings.resource().endpoint
    name = urlsplit(endpoint).netloc.partition(".")[0]
    probed = await reach.probe(
        "ACS",
        f"{endpoint}/",
        f"check the endpoint's name in {_setting(settings)}: az communication list --query [].hostName",
    )
    if probed.mark == "fail":
        return [probed, Finding("ACS credentials", "skipped", "skipped until ACS is reachable")]
    return [probed, await _credentials(settings, service, name, timeout)]


async def _credentials(settings: Settings, service: RecordingService, resource: str, timeout: float) -> Finding:
    """Ask for a recording id that doesn't exist: the service answers that only if it accepts the credentials."""
    ids = {"PlatformEndpointId": str(uuid4()), "ResourceSpecificId": str(uuid4())}
    unknown_id = urlsafe_b64encode(json.dumps(ids, separators=(",", ":")).encode()).decode().rstrip("=")
    name, by = "ACS credentials", "key" if settings.resource().access_key else "identity"
    try:
        async with asyncio.timeout(timeout):
            await service.state(str(uuid4()), unknown_id)
    except (NotFound, BadRequest, Conflict):
        return Finding(name, "ok", f"the {by} is accepted")
    except Misconfigured:
        return Finding(name, "fail", f"the {by} is refused", _credentials_fix(by, resource))
    except (RecordingError, TimeoutError) as failed:
        code = failed.error_code if isinstance(failed, RecordingError) else "no answer in time"
        fix = "run this again in a minute; https://azure.status.microsoft lists outages"
        return Finding(
            name, "warn", f"ACS answers with a failure ({code}), so it is unknown whether the {by} is accepted", fix
        )
    return Finding(name, "ok", f"the {by} is accepted")


def _credentials_fix(by: str, resource: str) -> str:
    if by == "key":
        return (
            "set ACS_CONNECTION_STRING to the primaryConnectionString of: "
            f'az communication list-key -n {resource} -g "$EVENTS_GROUP"'
        )
    return (
        "azd provision (the app's identity), or for your own login: az role assignment create "
        '--role "Communication and Email Service Owner" --assignee "$(az ad signed-in-user show --query id -o tsv)" '
        f'--scope "$(az communication show -n {resource} -g "$EVENTS_GROUP" --query id -o tsv)"'
    )


async def _hosts(settings: Settings) -> list[Finding]:
    """Try the configured hosts; of Microsoft's own only the endings are known."""
    if not settings.content_hosts:
        return [Finding("content hosts", "skipped", "none configured beside ACS itself and Microsoft's hosts")]
    fix = "add the host that chunk.failed names to CONTENT_HOSTS, and let this machine reach it"
    found = await asyncio.gather(
        *(reach.probe("content host", f"{_scheme(host)}://{host}/", fix) for host in settings.content_hosts)
    )
    bad = [one for one in found if one.mark != "ok"]
    return bad or [Finding("content hosts", "ok", f"{len(found)} configured, each answers, the clocks agree")]


def _scheme(host: str) -> str:
    """Return the scheme with which chunks are fetched: without TLS only on this machine."""
    return "http" if is_loopback(urlsplit(f"//{host}").hostname or "") else "https"


def _setting(settings: Settings) -> str:
    return "ACS_CONNECTION_STRING" if settings.acs_connection_string else "ACS_ENDPOINT"
