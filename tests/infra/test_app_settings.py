"""The evaluated app settings against recording/config/settings.py: every setting is set, and no key among them."""

import json
import re
from typing import Any

import pytest

from recording.config.account import StorageAccount
from recording.config.references import is_reference
from recording.config.settings import Settings, read_settings
from recording.errors import Misconfigured
from recording.intake import backlog
from recording.model import job
from tests.infra.snapshots import INFRA, ROOT, named, resource, resources, variants
from tests.support.deployment import app_settings

QUEUES = (
    *(job.QUEUE, job.BULK_QUEUE, backlog.QUEUE, job.ARCHIVE_QUEUE),
    *(job.EXPORT_QUEUE, job.ERASURE_QUEUE, job.JOIN_QUEUE, job.HOLDS_QUEUE),
)
# They hold a key; the identity is used instead.
NOT_HERE = {"ACS_CONNECTION_STRING", "EVENTS_TOPIC_KEY"}
# Read by the Functions host or by azure-identity, not by Settings.
HOSTS_OWN = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AZURE_CLIENT_ID",
    "AZURE_TOKEN_CREDENTIALS",
    "AzureWebJobsDisableHomepage",
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__tableServiceUri",
}
# What only Azure knows, by the member of the resource that is asked for.
KNOWN_LATER = {
    "clientId": "8c5f7a39-0000-4000-8000-000000000001",
    "ConnectionString": "InstrumentationKey=…",
    "endpoint": "https://topic.example/api/events",
    "hostName": "https://contoso.communication.azure.com",
    "immutableResourceId": "8c5f7a39-0000-4000-8000-000000000002",
    "primaryEndpoints.blob": "https://account.blob.example/",
    "primaryEndpoints.queue": "https://account.queue.example/",
    "primaryEndpoints.table": "https://account.table.example/",
}
# What the cloud says of itself, in the public one.
PUBLIC_CLOUD = {"[environment().authentication.loginEndpoint]": "https://login.microsoftonline.com/"}


def source(setting: str, variant: str = "default") -> tuple[str, str]:
    """Return which resource a setting is read from, by name, and which member of it."""
    found = re.search(r"reference\('\S+/([^/']+)', '[\d-]+'\)\.([\w.]+)", app_settings(variant)[setting])
    assert found is not None, f"{setting} is read from no resource"
    return found[1], found[2]


def deployed(variant: str = "default") -> dict[str, str]:
    """Return the settings as the app would find them; what only Azure or a vault knows is replaced by an example."""

    def found(name: str, value: str) -> str:
        if is_reference(value):
            return "a key"
        if "environment()" in value:
            return PUBLIC_CLOUD[value]
        return KNOWN_LATER[source(name, variant)[1]] if "reference(" in value else value

    return {name: found(name, value) for name, value in app_settings(variant).items()}


def expected() -> set[str]:
    """Name each setting of Settings in the form for an identity."""
    names = set()
    for name, field in Settings.model_fields.items():
        alias = field.alias or name
        is_account = field.annotation is StorageAccount
        names |= {f"{alias}__blobServiceUri"} if is_account else {alias}
    return names | {"AzureWebJobsStorage__queueServiceUri"}


@pytest.mark.parametrize("variant", variants())
def test_every_setting_is_set(variant: str) -> None:
    """A setting that is added to Settings is set in Bicep, too; one that is removed, removed."""
    assert set(app_settings(variant)) == (expected() | HOSTS_OWN) - NOT_HERE
    assert {type(value) for value in app_settings(variant).values()} == {str}


def test_nothing_that_flex_consumption_refuses() -> None:
    """The runtime is named in functionAppConfig, not in settings (docs/functions-host.md#flex)."""
    refused = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"}
    assert refused & set(app_settings()) == set()


def test_runtime_is_the_one_that_is_tested() -> None:
    """Azure runs the Python version of .python-version."""
    config = resource("Microsoft.Web/sites").properties["functionAppConfig"]
    version = (INFRA.parent / ".python-version").read_text().strip()
    assert config["runtime"] == {"name": "python", "version": version}


def test_defaults_are_those_of_the_app() -> None:
    """A setting that nobody has changed has its own default, so that a laptop and Azure agree."""
    settings = read_settings(deployed())
    # What has no default of its own comes from a resource.
    fields = {name: field for name, field in Settings.model_fields.items() if field.alias not in NOT_HERE}
    fixed = {
        n: f.default for n, f in fields.items() if "reference(" not in app_settings().get(str(f.alias), "reference(")
    }
    assert len(fixed) >= 17
    assert {name: getattr(settings, name) for name in fixed} == fixed


@pytest.mark.parametrize("variant", variants())
def test_app_accepts_what_is_set(variant: str) -> None:
    """Settings reads what a variant sets without a complaint, and no key is among it."""
    settings = read_settings(deployed(variant))
    assert settings.resource().access_key is None
    assert (settings.staging_storage, settings.archive_storage, settings.derived_storage) == (
        StorageAccount(blob_uri=KNOWN_LATER["primaryEndpoints.blob"]),
    ) * 3


def test_a_callback_key_is_kept_in_a_vault() -> None:
    """Azure puts it in place; until it does, the app refuses to work and names the setting."""
    kept = app_settings("everything-on")["CALLBACK_KEY"]
    with pytest.raises(Misconfigured, match="CALLBACK_KEY: the reference is not resolved"):
        read_settings(deployed("everything-on") | {"CALLBACK_KEY": kept})


def test_what_the_environment_sets_reaches_the_app() -> None:
    """Each value of the variant with everything on is the setting's own."""
    settings = read_settings(deployed("everything-on"))
    assert (settings.risk_hours, settings.delete_source) == (6, True)
    assert (settings.auto_record, settings.content_hosts) == ("all", ("files.example.com",))
    assert settings.retention_classes == "standard=365,court=2555,history=forever"
    assert (settings.archive_immutability, read_settings(deployed("immutable")).archive_immutability) == (False, True)
    assert settings.public_base_url == "https://recordings.example.com"
    ids = (settings.entra_tenant_id, settings.entra_api_id, settings.entra_page_id)
    assert ["3", "4", "5"] == [str(one)[-1] for one in ids]
    old = read_settings(deployed("preview-2021"))
    assert (old.uses_preview_2021, old.source_retention_hours) == (True, 48)


def test_settings_name_the_resources_that_are_theirs() -> None:
    """Staging and the host's storage are one account, archive and derived files two others; the identity is its own."""
    places = {name: re.sub(r"-?[a-z0-9]{13}$", "", source(name)[0]) for name in app_settings() if name.endswith("Uri")}
    assert places == {
        "AzureWebJobsStorage__blobServiceUri": "st",
        "AzureWebJobsStorage__queueServiceUri": "st",
        "AzureWebJobsStorage__tableServiceUri": "st",
        "STAGING_STORAGE__blobServiceUri": "st",
        "ARCHIVE_STORAGE__blobServiceUri": "starc",
        "DERIVED_STORAGE__blobServiceUri": "stdv",
    }
    services = {name: source(name)[1] for name in places}
    assert services == {name: f"primaryEndpoints.{re.findall(r'__(\w+)ServiceUri', name)[0]}" for name in places}
    assert app_settings()["AzureWebJobsStorage__accountName"] == source("AzureWebJobsStorage__blobServiceUri")[0]
    assert source("AZURE_CLIENT_ID") == source("AzureWebJobsStorage__clientId")
    assert source("AZURE_CLIENT_ID")[0].startswith("id-app-")


@pytest.mark.parametrize(("variant", "name"), [("default", "acs-"), ("existing-acs", "acs-contoso")])
def test_callbacks_must_bear_the_token_of_this_very_resource(variant: str, name: str) -> None:
    """What ACS_RESOURCE_ID gets is the immutable id of the ACS resource, new or existing; one parameter switches it."""
    resource_name, member = source("ACS_RESOURCE_ID", variant)
    assert (resource_name, member) == (source("ACS_ENDPOINT", variant)[0], "immutableResourceId")
    assert resource_name.startswith(name)
    assert app_settings("everything-off")["ACS_RESOURCE_ID"] == ""


def test_the_key_of_the_callback_address_is_a_reference() -> None:
    """ACS can't send a header, so there is one key; what is set is where it is kept, if it is wanted."""
    assert app_settings()["CALLBACK_KEY"] == ""
    assert app_settings("everything-on")["CALLBACK_KEY"] == (
        "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/callback-key)"
    )
    app = resource("Microsoft.Web/sites").body
    assert list(app["identity"]["userAssignedIdentities"]) == [app["properties"]["keyVaultReferenceIdentity"]]


@pytest.mark.parametrize("variant", variants())
def test_containers_are_made_under_the_names_that_the_app_gets(variant: str) -> None:
    """Each account makes the containers that the settings name, and those of dead letters and deployment."""
    containers = resources("Microsoft.Storage/storageAccounts/blobServices/containers", variant)
    made: dict[str, list[Any]] = {"st": [], "starc": [], "stdv": []}
    for one in containers:
        account, _, name = one.name.split("/")
        made[account[:-13]].append(name)
    names = app_settings(variant)
    assert made == {
        "st": [names["STAGING_CONTAINER"], names["QUARANTINE_CONTAINER"], "recordings-dead-letter", "deployment"],
        "starc": [names["ARCHIVE_CONTAINER"]],
        "stdv": [names["DERIVED_CONTAINER"]],
    }
    storage = resource("Microsoft.Web/sites", variant=variant).properties["functionAppConfig"]["deployment"]["storage"]
    assert storage["value"].endswith(".primaryEndpoints.blob, 'deployment')]")


def test_queues_are_those_of_the_code() -> None:
    """Each queue is made, and the one where the host puts what has failed there five times."""
    made = [name + end for name in QUEUES for end in ("", "-poison")]
    assert list(named("Microsoft.Storage/storageAccounts/queueServices/queues")) == made


def test_traces_are_not_sampled() -> None:
    """Alerts count log lines, requests and exceptions one by one, so none may be left out.

    host.json says so, not a setting: Linux hosts have cut off a name as long as its setting would have.
    """
    host = json.loads((ROOT / "host.json").read_text())
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    assert set(sampling["excludedTypes"].split(";")) == {"Exception", "Request", "Trace"}
    assert [name for name in app_settings() if len(name) > 64] == []
