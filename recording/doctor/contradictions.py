"""Pure: find settings that are valid one by one and contradict each other."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from recording.config import account
from recording.config.references import is_reference
from recording.config.settings import Settings
from recording.doctor import schedule
from recording.doctor.finding import Finding
from recording.errors import Misconfigured
from recording.urls import is_loopback

_NAME = "settings agree"
# After this long without a run the alert on the timer fires (infra/alerts.bicep).
_USUAL_PAUSE = timedelta(minutes=30)


def find_contradictions(settings: Settings) -> list[Finding]:
    """Return a finding for every contradiction, or one finding that there is none."""
    found = [*_deadlines(settings), *_timer(settings), *_callbacks(settings), *_acs(settings), *_storage(settings)]
    return found or [Finding(_NAME, "ok", "none contradicts another")]


def _fail(detail: str, fix: str) -> Finding:
    return Finding(_NAME, "fail", detail, fix)


def _warn(detail: str, fix: str) -> Finding:
    return Finding(_NAME, "warn", detail, fix)


def _deadlines(settings: Settings) -> Iterator[Finding]:
    hours = settings.retention / timedelta(hours=1)
    kept = 48 if settings.uses_preview_2021 else 24
    if hours > kept:
        yield _fail(
            f"SOURCE_RETENTION_HOURS is {hours:g}, but ACS deletes after {kept} in this version of its API",
            f"set SOURCE_RETENTION_HOURS to {kept} or less, or remove it",
        )
    if settings.risk_margin >= settings.retention:
        yield _fail(
            f"RISK_HOURS ({settings.risk_hours:g}) is not below SOURCE_RETENTION_HOURS ({hours:g}): "
            "every chunk is at risk from its first minute",
            "set RISK_HOURS to a third of SOURCE_RETENTION_HOURS",
        )
    if settings.first_rescue >= settings.retention:
        yield _fail(
            f"RESCUE_MINUTES ({settings.rescue_minutes:g}) is not below SOURCE_RETENTION_HOURS ({hours:g}): "
            "the timer would queue a chunk again when ACS has deleted it",
            "set RESCUE_MINUTES to 15, or remove it",
        )
    if timedelta(minutes=settings.unannounced_minutes) >= settings.retention:
        yield _warn(
            f"UNANNOUNCED_MINUTES ({settings.unannounced_minutes:g}) is not below SOURCE_RETENTION_HOURS ({hours:g}): "
            "a missing announcement is reported when it is too late",
            "set UNANNOUNCED_MINUTES to 60, or remove it",
        )


def _timer(settings: Settings) -> Iterator[Finding]:
    if "archive_schedule" not in settings.model_fields_set:
        yield _fail(
            "ARCHIVE_SCHEDULE is not set: the host can't load the timer without it",
            f'set ARCHIVE_SCHEDULE to "{settings.archive_schedule}"',
        )
        return
    try:
        pause = schedule.longest_pause(settings.archive_schedule)
    except ValueError:
        yield _fail(
            "ARCHIVE_SCHEDULE is not an NCRONTAB schedule of six fields, or never fires",
            'set ARCHIVE_SCHEDULE to "0 */5 * * * *"',
        )
        return
    # With no margin set it is the deadline itself that must not fall into a pause.
    if pause >= (settings.risk_margin or settings.retention):
        yield _fail(
            f"ARCHIVE_SCHEDULE pauses for {pause}, and RISK_HOURS is {settings.risk_hours:g}: "
            "a chunk can be lost between two runs",
            'set ARCHIVE_SCHEDULE to "0 */5 * * * *"',
        )
    elif pause > _USUAL_PAUSE:
        yield _warn(
            f"ARCHIVE_SCHEDULE pauses for {pause}: what fails in a run waits that long, and the alert fires",
            'set ARCHIVE_SCHEDULE to "0 */5 * * * *", or lengthen the alert timer-silent',
        )


def _callbacks(settings: Settings) -> Iterator[Finding]:
    base = settings.public_base_url
    if settings.auto_record == "all" and base is None:
        yield _warn(
            "AUTO_RECORD is all, and there is no PUBLIC_BASE_URL: no callback reports the state of a recording",
            "set PUBLIC_BASE_URL to this app's https address",
        )
    if settings.callback_key and is_reference(settings.callback_key.get_secret_value()):
        yield _warn(
            "CALLBACK_KEY is a reference, which only Azure resolves: this machine can't check it",
            "check that GET /health of the app doesn't answer that CALLBACK_KEY is not resolved",
        )
    if settings.callback_key and base is None:
        yield _warn(
            "CALLBACK_KEY is set without PUBLIC_BASE_URL: it is never sent",
            "set PUBLIC_BASE_URL to this app's https address, or remove CALLBACK_KEY",
        )
    if base and not settings.callback_key and not is_loopback(urlsplit(base).hostname or ""):
        yield _warn(
            "PUBLIC_BASE_URL is set, and there is no CALLBACK_KEY: the app refuses callbacks without a function key",
            'set CALLBACK_KEY to a key of: az functionapp keys list -g "$AZURE_RESOURCE_GROUP" -n "$FUNCTION_APP_NAME"',
        )
    if settings.events_topic_key and not settings.events_topic_endpoint:
        yield _warn(
            "EVENTS_TOPIC_KEY is set without EVENTS_TOPIC_ENDPOINT: nothing is published",
            "set EVENTS_TOPIC_ENDPOINT, or remove EVENTS_TOPIC_KEY",
        )


def _acs(settings: Settings) -> Iterator[Finding]:
    if settings.acs_connection_string and settings.acs_endpoint:
        try:
            used = settings.resource().authority
        except Misconfigured:
            used = ""  # reported where the connection string is read
        if used and used.lower() != urlsplit(settings.acs_endpoint).netloc.lower():
            yield _fail(
                "ACS_CONNECTION_STRING and ACS_ENDPOINT name two resources; the connection string is used",
                "remove the wrong one",
            )
    if settings.acs_resource_id and settings.uses_preview_2021:
        yield _warn(
            "ACS_RESOURCE_ID is set, and the 2021 preview API signs no callback: only the function key protects them",
            "remove ACS_RESOURCE_ID, or ACS_API_VERSION to use the Call Automation API",
        )
    if settings.delete_source and settings.uses_preview_2021:
        yield _warn(
            "DELETE_SOURCE is true, and the 2021 preview API deletes nothing",
            "remove DELETE_SOURCE, or ACS_API_VERSION to use the Call Automation API",
        )
    for host in settings.content_hosts:
        if host.startswith(".") or ".." in host:
            yield _fail(
                f"CONTENT_HOSTS has {host!r}: wildcards aren't supported, so this matches no host",
                "name the host itself in CONTENT_HOSTS; Microsoft's own are known",
            )


def _storage(settings: Settings) -> Iterator[Finding]:
    staging, archive = (
        account.service_url(one, "blob") for one in (settings.staging_storage, settings.archive_storage)
    )
    places = {
        "STAGING_CONTAINER": (staging, settings.staging_container),
        "ARCHIVE_CONTAINER": (archive, settings.archive_container),
        "QUARANTINE_CONTAINER": (staging, settings.quarantine_container),
    }
    if settings.keeps_derived:
        derived = account.service_url(settings.derived_storage, "blob")
        places["DERIVED_CONTAINER"] = (derived, settings.derived_container)
    met: dict[tuple[str, str], str] = {}
    for name, place in places.items():
        if (other := met.setdefault(place, name)) != name:
            yield _fail(
                f"{other} and {name} are one container ({place[1]}) of one account",
                f"give {name} another name",
            )
