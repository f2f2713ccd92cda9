"""Every app setting: typed, documented, read once.

The table of docs/settings.md is generated from here (`python -m recording.config.settings`), and tests compare it and
`local.settings.example.json` with it.
"""

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from recording import retention
from recording.config import account, references
from recording.config.account import Service, StorageAccount
from recording.config.resource import Resource, is_endpoint, parse_connection_string
from recording.errors import Misconfigured
from recording.urls import is_loopback


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError("must be host names, each perhaps with a port, separated by commas and without https://")
    return hosts


def _check_address(address: str) -> str:
    parts = urlsplit(address)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or parts.query or parts.fragment or not (parts.scheme == "https" or plain):
        raise ValueError("must be an https URL without a query")
    return address.rstrip("/")


def _check_endpoint(endpoint: str) -> str:
    if not is_endpoint(endpoint.rstrip("/")):
        raise ValueError("must have the form https://<name>.communication.azure.com")
    return endpoint


def _known(version: str) -> str:
    if version != VERSION_2021 and not (_VERSION.fullmatch(version) and version >= FIRST_VERSION):
        raise ValueError(f"must be {VERSION_2021}, or a version of the Call Automation API: {FIRST_VERSION} or later")
    return version


def _check_classes(text: str) -> str:
    retention.parse_classes(text)
    return text


VERSION_2021 = "2021-04-15-preview1"
# The first version with /calling/recordings in its present form (docs/acs-contract.md#operations).
FIRST_VERSION = "2023-03-06"
_VERSION = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(-preview[0-9]*)?")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
Hosts = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_check_hosts)]
Address = Annotated[str, AfterValidator(_check_address)]
Container = Annotated[str, Field(pattern=r"^[a-z0-9](-?[a-z0-9])+$", min_length=3, max_length=63)]


class Settings(BaseModel):
    """The app settings, named as in Azure."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")

    acs_connection_string: SecretStr | None = Field(
        default=None,
        alias="ACS_CONNECTION_STRING",
        description="`endpoint=https://<name>.communication.azure.com;accesskey=…`. Omit it to use the identity.",
    )
    acs_endpoint: Annotated[str, AfterValidator(_check_endpoint)] | None = Field(
        default=None,
        alias="ACS_ENDPOINT",
        description="`https://<name>.communication.azure.com`, reached with the app's managed identity.",
    )
    acs_resource_id: UUID | None = Field(
        default=None,
        alias="ACS_RESOURCE_ID",
        description="The ACS resource's immutable id. If set, Call Automation callbacks must carry ACS's token for it.",
    )
    acs_api_version: Annotated[str, AfterValidator(_known)] | None = Field(
        default=None,
        alias="ACS_API_VERSION",
        description=f"`{VERSION_2021}` selects the 2021 preview API; else a Call Automation version, or the SDK's own.",
    )
    source_retention_hours: float | None = Field(
        default=None,
        gt=0,
        le=24 * 30,
        alias="SOURCE_RETENTION_HOURS",
        description="Hours that ACS keeps a recording after its file event. Default: 24, or 48 (2021 preview API).",
    )
    risk_hours: float = Field(
        default=8,
        ge=0,
        le=24 * 30,
        alias="RISK_HOURS",
        description="A chunk that isn't safe this many hours before its deadline is reported as at risk.",
    )
    rescue_minutes: float = Field(
        default=15,
        gt=0,
        le=24 * 60,
        alias="RESCUE_MINUTES",
        description="Minutes that a chunk may take, once announced or queued, before the timer queues it again.",
    )
    unannounced_minutes: float = Field(
        default=60,
        gt=0,
        le=24 * 60,
        alias="UNANNOUNCED_MINUTES",
        description="A recording that was stopped this many minutes ago and isn't announced is reported.",
    )
    staging_container: Container = Field(
        default="recordings-staging", alias="STAGING_CONTAINER", description="Recordings in flight."
    )
    archive_container: Container = Field(
        default="recordings-archive", alias="ARCHIVE_CONTAINER", description="Long-term storage."
    )
    quarantine_container: Container = Field(
        default="recordings-quarantine", alias="QUARANTINE_CONTAINER", description="Events that couldn't be parsed."
    )
    dead_letter_container: Container = Field(
        default="recordings-dead-letter",
        alias="DEAD_LETTER_CONTAINER",
        description="Events that Event Grid gave up, in the account of the quarantine; `/v1/operations` lists them.",
    )
    derived_container: Container = Field(
        default="recordings-derived",
        alias="DERIVED_CONTAINER",
        description="Files that are made from recordings and can be made again: joined files and exports.",
    )
    archive_schedule: str = Field(
        default="0 */5 * * * *",
        alias="ARCHIVE_SCHEDULE",
        description="When the archive timer runs (NCRONTAB, six fields, UTC). Required, because the host reads it.",
    )
    ingest_block_mib: int = Field(
        default=32, ge=4, le=4000, alias="INGEST_BLOCK_MIB", description="The largest block of a chunk, in MiB."
    )
    ingest_parallelism: int = Field(
        default=8,
        ge=1,
        le=64,
        alias="INGEST_PARALLELISM",
        description="Streams per process, for all its chunks together.",
    )
    content_hosts: Hosts = Field(
        default=(),
        alias="CONTENT_HOSTS",
        description="More hosts (`name`, `name:port`, comma-separated) to fetch chunks from; they receive credentials.",
    )
    delete_source: bool = Field(
        default=False,
        alias="DELETE_SOURCE",
        description="`true` deletes a chunk at ACS once its archive copy was verified (Call Automation API only).",
    )
    erasure_delay_hours: float = Field(
        default=24,
        ge=0,
        le=24 * 30,
        alias="ERASURE_DELAY_HOURS",
        description="Hours after which an erasure that was asked for happens; until then it can be called off.",
    )
    auto_record: Literal["off", "all"] = Field(
        default="off", alias="AUTO_RECORD", description="`all` starts a recording when a call is established."
    )
    consent: Literal["required", "off"] = Field(
        default="off",
        alias="CONSENT",
        description="`required` refuses a start unless consent was granted and none withdrawn; not with `AUTO_RECORD`.",
    )
    export_others: Literal["masked", "shown"] = Field(
        default="masked",
        alias="EXPORT_OTHERS",
        description="Whether an export of what there is about a person hides or shows others who took part.",
    )
    export_days: float = Field(
        default=7,
        gt=0,
        le=365,
        alias="EXPORT_DAYS",
        description="Days after which an export is handed out no more; the container of derived files deletes it.",
    )
    public_base_url: Address | None = Field(
        default=None,
        alias="PUBLIC_BASE_URL",
        description="This app's https address. A start without a callback address uses its `/callbacks`.",
    )
    callback_key: SecretStr | None = Field(
        default=None,
        alias="CALLBACK_KEY",
        description="A function key, sent as `code` in that callback address: ACS can't send a header.",
    )
    events_topic_endpoint: Address | None = Field(
        default=None,
        alias="EVENTS_TOPIC_ENDPOINT",
        description="A custom Event Grid topic for the app's notices: archived, at risk, lost or quarantined.",
    )
    events_topic_key: SecretStr | None = Field(
        default=None, alias="EVENTS_TOPIC_KEY", description="The topic's key. Omit it to use the identity."
    )
    entra_tenant_id: UUID | None = Field(
        default=None,
        alias="ENTRA_TENANT_ID",
        description="The Entra tenant of the people and services that use `/v1`. Without it `/v1` is off.",
    )
    entra_api_id: UUID | None = Field(
        default=None,
        alias="ENTRA_API_ID",
        description="The client id of the application *Recordings API* in that tenant. Without it `/v1` is off.",
    )
    entra_page_id: UUID | None = Field(
        default=None,
        alias="ENTRA_PAGE_ID",
        description="The client id of the application *Recordings* there. Without it nobody signs in on the page.",
    )
    entra_authority: Address = Field(
        default="https://login.microsoftonline.com",
        alias="ENTRA_AUTHORITY",
        description="Where that tenant signs in. Another cloud has another address.",
    )
    runbook_url: Address | None = Field(
        default=None,
        alias="RUNBOOK_URL",
        description="The https address at which your team reads [runbook.md](runbook.md): the page links to sections.",
    )
    telemetry: Literal["auto", "console", "off"] = Field(
        default="auto",
        alias="TELEMETRY",
        description="`auto` sends traces to Application Insights, `console` prints them, `off` disables them.",
    )
    retention_classes: Annotated[str, AfterValidator(_check_classes)] = Field(
        default="",
        alias="RETENTION_CLASSES",
        description="Classes as `standard=90,court=2555,history=forever`, in days; the first is the default. "
        "None: kept for ever.",
    )
    archive_immutability: bool = Field(
        default=False,
        alias="ARCHIVE_IMMUTABILITY",
        description="`true` where the archive has version-level immutability: policies and holds are set there, too.",
    )
    host_storage: StorageAccount = Field(
        default=StorageAccount(),
        alias="AzureWebJobsStorage",
        description="The host's storage: a connection string, or `__blobServiceUri`, and so for queue and table.",
    )
    staging_storage: StorageAccount = Field(
        default=StorageAccount(),
        alias="STAGING_STORAGE",
        description="Account of the staging and quarantine containers (same forms). Default: AzureWebJobsStorage.",
    )
    archive_storage: StorageAccount = Field(
        default=StorageAccount(),
        alias="ARCHIVE_STORAGE",
        description="Account of the archive container (same forms). Default: AzureWebJobsStorage.",
    )
    derived_storage: StorageAccount = Field(
        default=StorageAccount(),
        alias="DERIVED_STORAGE",
        description="Account of the derived container (same forms), without versions and soft delete. "
        "Unset: no joined files and exports.",
    )

    @field_validator("consent")
    @classmethod
    def _has_no_automatic_start(cls, consent: str, info: ValidationInfo) -> str:
        if consent == "required" and info.data.get("auto_record") == "all":
            raise ValueError("can't be required together with AUTO_RECORD=all, which asks nobody before it records")
        return consent

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the names of what is set and no value: a URI may hold a token."""
        return [("set", sorted(self.model_fields_set))]

    @property
    def uses_preview_2021(self) -> bool:
        """Return whether the 2021 preview API is used, not the Call Automation API."""
        return self.acs_api_version == VERSION_2021

    @property
    def keeps_derived(self) -> bool:
        """Return whether there is a place for derived files."""
        return self.derived_storage != StorageAccount()

    @property
    def retention(self) -> timedelta:
        """Return how long ACS keeps a chunk after its event."""
        return timedelta(hours=self.source_retention_hours or (48 if self.uses_preview_2021 else 24))

    @property
    def risk_margin(self) -> timedelta:
        """Return how long before its deadline a chunk is at risk."""
        return timedelta(hours=self.risk_hours)

    @property
    def first_rescue(self) -> timedelta:
        """Return how long a chunk may take before the timer requeues it."""
        return timedelta(minutes=self.rescue_minutes)

    @property
    def largest_block(self) -> int:
        """Return INGEST_BLOCK_MIB in bytes."""
        return self.ingest_block_mib * 1024 * 1024

    def media_origins(self) -> tuple[str, ...]:
        """Return the origins of the accounts that media are read from, each once."""
        derived = [self.derived_storage] if self.keeps_derived else []
        urls = (account.service_url(one, "blob") for one in (self.archive_storage, self.staging_storage, *derived))
        parts = (urlsplit(url) for url in urls)
        return tuple(dict.fromkeys(f"{one.scheme}://{one.netloc}" for one in parts))

    def callback_uri(self) -> str | None:
        """Return where ACS is to send state callbacks; the key is part of it, so it is never logged."""
        if self.public_base_url is None:
            return None
        key = self.callback_key.get_secret_value() if self.callback_key else ""
        code = "" if not key or references.is_reference(key) else f"?code={quote(key, safe='')}"
        return f"{self.public_base_url}/callbacks{code}"

    def resource(self) -> Resource:
        """Return the ACS resource.

        Raises Misconfigured if neither form is set.
        """
        if self.acs_connection_string is not None:
            return parse_connection_string(self.acs_connection_string.get_secret_value())
        if self.acs_endpoint:
            return Resource(self.acs_endpoint.rstrip("/"))
        raise Misconfigured("set ACS_CONNECTION_STRING, or ACS_ENDPOINT for the app's managed identity")


def read_settings(environment: Mapping[str, str], *, may_be_unresolved: Collection[str] = ()) -> Settings:
    """Read the settings from the environment; empty values count as absent.

    A value may be kept in Key Vault: one that Azure did not resolve is rejected, except for
    `may_be_unresolved`.
    Raises Misconfigured that names the setting and never shows a value.
    """
    names = {field.alias or name for name, field in Settings.model_fields.items()}
    if unresolved := references.unresolved(environment, names.difference(may_be_unresolved)):
        raise Misconfigured(f"app settings are wrong: {', '.join(unresolved)}: {references.FIX}")
    values: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        alias = field.alias or name
        value = (
            account.read_account(environment, alias) if field.annotation is StorageAccount else environment.get(alias)
        )
        if value:
            values[alias] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as invalid:
        wrong = "; ".join(f"{error['loc'][0]}: {error['msg']}" for error in invalid.errors(include_input=False))
        raise Misconfigured(f"app settings are wrong: {wrong}") from None
    if settings.host_storage == StorageAccount():
        raise Misconfigured("app settings are wrong: AzureWebJobsStorage is not set")
    unset = [name for name in ("staging_storage", "archive_storage") if getattr(settings, name) == StorageAccount()]
    complete = settings.model_copy(update=dict.fromkeys(unset, settings.host_storage))
    needed: tuple[tuple[str, Service], ...] = (
        ("host_storage", "queue"),
        ("staging_storage", "blob"),
        ("archive_storage", "blob"),
        # Not that of the host, if it isn't set: its versions would keep what was erased.
        *((("derived_storage", "blob"),) if complete.keeps_derived else ()),
    )
    for name, service in needed:
        place: StorageAccount = getattr(complete, name)
        if wrong := account.missing_part(place, service):
            setting = Settings.model_fields["host_storage" if name in unset else name].alias
            raise Misconfigured(f"app settings are wrong: {setting}{wrong}")
    return complete


def read_from(file: Path | None) -> Settings:
    """Read the settings of a file, or of the environment; those of local.settings.json fill its gaps."""
    if file is None:
        return read_settings({**read_file(Path("local.settings.json")), **os.environ})
    # `az functionapp config appsettings list` prints references, whether Azure resolves them or not. A chunk can be
    # fetched without this one.
    return read_settings(read_file(file), may_be_unresolved=["CALLBACK_KEY"])


def read_file(file: Path) -> dict[str, str]:
    """Read the settings under Values, or the list that `az functionapp config appsettings list` prints."""
    wrong = Misconfigured(f"{file} cannot be read: it should have its settings under Values")
    try:
        if file.name == "local.settings.json" and not file.exists():
            return {}
        # Bytes, whose encoding json detects: PowerShell writes UTF-16, or a byte order mark.
        body: Any = json.loads(file.read_bytes())
        values = {one["name"]: one["value"] for one in body} if isinstance(body, list) else body["Values"]
        return {str(name): str(value) for name, value in values.items() if value is not None}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise wrong from None


def markdown_table() -> str:
    """Return the settings as the Markdown table of docs/settings.md."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for field in Settings.model_fields.values():
        default = field.default
        shown = f"`{default}`" if isinstance(default, str | int | float) else ""
        rows.append(f"| `{field.alias}` | {shown} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown_table())
