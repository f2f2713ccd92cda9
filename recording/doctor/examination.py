"""Use case: can this deployment do its work? What is examined, and what came of it."""

import asyncio
import json
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit
from uuid import uuid4

from recording.acs.service import RecordingService
from recording.config.settings import Settings
from recording.doctor import contradictions, reach, stores
from recording.doctor.finding import Finding
from recording.doctor.stores import Queues
from recording.errors import BadRequest, Conflict, Misconfigured, NotFound, RecordingError
from recording.storage.blobs import Blobs
from recording.urls import is_loopback

SECONDS = 15.0


def unreadable(wrong: Misconfigured) -> list[Finding]:
    """Say that the settings can't be read, upon which nothing else can be looked at."""
    mend = (
        'az functionapp config appsettings set -g "$AZURE_RESOURCE_GROUP" -n "$FUNCTION_APP_NAME" '
        "--settings <name>=<value>; on a laptop: local.settings.json"
    )
    return [
        Finding("settings", "fail", wrong.message, mend),
        Finding("all else", "skipped", "needs settings that can be read"),
    ]


async def examine(
    settings: Settings,
    *,
    storage: Blobs,
    service: RecordingService,
    queues: Queues,
) -> list[Finding]:
    """Look at everything at once, each for a quarter of a minute at most; nothing is changed."""
    api = settings.acs_api_version or "today's"
    by = "a key" if settings.resource().access_key else "the identity"
    kept, called, hosts = await asyncio.gather(
        stores.examine_storage(settings, storage, queues), _acs(settings, service), _hosts(settings)
    )
    read = Finding("settings", "ok", f"read: ACS by {by}, its API {api}")
    return [read, *contradictions.find_contradictions(settings), *kept, *called, *hosts]


async def _acs(settings: Settings, service: RecordingService) -> list[Finding]:
    endpoint = settings.resource().endpoint
    name = urlsplit(endpoint).netloc.partition(".")[0]
    looked = await reach.probe(
        "ACS",
        f"{endpoint}/",
        f"check the endpoint's name in {_setting(settings)}: az communication list --query [].hostName",
    )
    if looked.mark == "fail":
        return [looked, Finding("ACS credentials", "skipped", "the line above comes first")]
    return [looked, await _credentials(settings, service, name)]


async def _credentials(settings: Settings, service: RecordingService, resource: str) -> Finding:
    """Ask for a recording that can't be there: what the service says of it, it says to whom it knows."""
    ids = {"PlatformEndpointId": str(uuid4()), "ResourceSpecificId": str(uuid4())}
    nobody = urlsafe_b64encode(json.dumps(ids, separators=(",", ":")).encode()).decode().rstrip("=")
    name, by = "ACS credentials", "key" if settings.resource().access_key else "identity"
    try:
        async with asyncio.timeout(SECONDS):
            await service.state(str(uuid4()), nobody)
    except (NotFound, BadRequest, Conflict):
        return Finding(name, "ok", f"the {by} is accepted")
    except Misconfigured:
        return Finding(name, "fail", f"the {by} is refused", _credentials_mend(by, resource))
    except (RecordingError, TimeoutError) as failed:
        code = failed.error_code if isinstance(failed, RecordingError) else "no answer in time"
        mend = "run this again in a minute; https://azure.status.microsoft tells of outages"
        return Finding(
            name, "warn", f"ACS answers with a failure ({code}), so that the {by} isn't known to be good", mend
        )
    return Finding(name, "ok", f"the {by} is accepted")


def _credentials_mend(by: str, resource: str) -> str:
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
    """Try the hosts that are named; Microsoft's own are known by their endings only."""
    if not settings.content_hosts:
        return [Finding("content hosts", "skipped", "none named: ACS itself and Microsoft's own are asked")]
    mend = "name the host that chunk.failed tells of in CONTENT_HOSTS, and let this machine reach it"
    found = await asyncio.gather(
        *(reach.probe("content host", f"{_scheme(host)}://{host}/", mend) for host in settings.content_hosts)
    )
    bad = [one for one in found if one.mark != "ok"]
    return bad or [Finding("content hosts", "ok", f"{len(found)} named, each answers, the clocks agree")]


def _scheme(host: str) -> str:
    """As chunks are fetched: without TLS only where nobody else can answer."""
    return "http" if is_loopback(urlsplit(f"//{host}").hostname or "") else "https"


def _setting(settings: Settings) -> str:
    return "ACS_CONNECTION_STRING" if settings.acs_connection_string else "ACS_ENDPOINT"
