"""infra/function-app.bicep against recording/config/settings.py: every setting is set, and no key among them."""

import re
from typing import Any

from recording.config.account import Account
from recording.config.settings import Settings, read
from recording.intake import backlog
from recording.model import job
from tests.infra.bicep import INFRA, Expression, declarations, one

# They hold a key; the identity stands in its place.
NOT_HERE = {"ACS_CONNECTION_STRING", "EVENTS_TOPIC_KEY"}
# Read by the Functions host or by azure-identity, not by Settings.
HOSTS_OWN = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AZURE_CLIENT_ID",
    "AzureFunctionsJobHost__logging__applicationInsights__samplingSettings__excludedTypes",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__tableServiceUri",
}


def app_settings() -> dict[str, Any]:
    """Read the app settings as they stand in Bicep."""
    found: dict[str, Any] = one(INFRA / "function-app.bicep", "resource", "settings").value["properties"]
    return found


def expected() -> set[str]:
    """Name each setting of Settings in the form for an identity."""
    names = set()
    for name, field in Settings.model_fields.items():
        alias = field.alias or name
        is_account = field.annotation is Account
        names |= {f"{alias}__blobServiceUri"} if is_account else {alias}
    return names | {"AzureWebJobsStorage__queueServiceUri"}


def test_every_setting_is_set() -> None:
    """A setting that is added to Settings is set in Bicep, too; one that is removed, removed."""
    assert set(app_settings()) == (expected() | HOSTS_OWN) - NOT_HERE


def test_nothing_that_flex_consumption_refuses() -> None:
    """The runtime is named in functionAppConfig, not in settings (functions-host.md 8)."""
    refused = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"}
    assert refused & set(app_settings()) == set()


def test_runtime_is_the_one_that_is_tested() -> None:
    """Azure runs the Python version of .python-version."""
    config = one(INFRA / "function-app.bicep", "resource", "app").value["properties"]["functionAppConfig"]
    version = (INFRA.parent / ".python-version").read_text().strip()
    assert config["runtime"] == {"name": "python", "version": version}


def parameters() -> dict[str, Any]:
    """Give the default in main.bicep of each setting that a parameter sets."""
    defaults = {found.name: found.value for found in declarations(INFRA / "main.bicep", "param")}
    named = {
        name: re.sub(r"^(?:toLower\()?string\((\w+)\)+$", r"\1", given.text)
        for name, given in app_settings().items()
        if isinstance(given, Expression)
    }
    return {name: defaults[parameter] for name, parameter in named.items() if parameter in defaults}


def test_defaults_are_those_of_the_app() -> None:
    """A parameter for a setting has the setting's own default, so that a laptop and Azure agree."""
    own = {str(f.alias): f.default for f in Settings.model_fields.values() if f.default not in (None, ())}
    shared = parameters().keys() & own.keys()
    assert len(shared) >= 9
    assert {name: parameters()[name] for name in shared} == {name: own[name] for name in shared}


def test_app_accepts_what_is_set() -> None:
    """Settings reads the defaults of main.bicep without a complaint, and takes the identity's form of the rest."""
    uris = {name: "https://account.example/" for name in app_settings() if name.endswith("Uri")}
    endpoint = {"ACS_ENDPOINT": "https://contoso.communication.azure.com"}
    settings = read({name: str(default) for name, default in parameters().items()} | uris | endpoint)
    assert settings.resource().access_key is None
    assert (settings.speaks_2021, settings.source_retention_hours, settings.delete_source) == (False, None, False)
    assert (settings.staging_storage, settings.archive_storage) == (
        Account(blob_uri=uris["STAGING_STORAGE__blobServiceUri"]),
    ) * 2


def test_callbacks_must_bear_the_token_of_this_very_resource() -> None:
    """What ACS_RESOURCE_ID gets is the immutable id of the ACS resource, new or existing; one parameter switches it."""
    given = next(m for m in declarations(INFRA / "main.bicep", "module") if m.name == "functionApp").value["params"]
    output = one(INFRA / "communication-events.bicep", "output", "immutableResourceId")
    assert app_settings()["ACS_RESOURCE_ID"].text == "communicationResourceId"
    assert given["communicationResourceId"].text == (
        "requireCallbackToken ? communicationEvents.outputs.immutableResourceId : ''"
    )
    assert output.value.text == "communication.properties.immutableResourceId"
    assert one(INFRA / "main.bicep", "param", "requireCallbackToken").value is True


def test_the_key_of_the_callback_address_is_a_reference() -> None:
    """ACS can't send a header, so there is one key; what stands in Bicep is where it is kept, if it is wanted."""
    assert app_settings()["CALLBACK_KEY"].text == (
        "empty(callbackKeySecretUri) ? '' : '@Microsoft.KeyVault(SecretUri=${callbackKeySecretUri})'"
    )
    app = one(INFRA / "function-app.bicep", "resource", "app").value
    assert app["properties"]["keyVaultReferenceIdentity"].text == "identityId"
    assert one(INFRA / "main.bicep", "param", "callbackKeySecretUri").value == ""


def test_containers_are_made_under_the_names_that_the_app_gets() -> None:
    """The names in main.bicep are the defaults of Settings, and storage and archive make those very containers."""
    names = one(INFRA / "main.bicep", "var", "container").value
    fields = Settings.model_fields
    assert (names["staging"], names["archive"], names["quarantine"]) == (
        fields["staging_container"].default,
        fields["archive_container"].default,
        fields["quarantine_container"].default,
    )
    given = {module.name: module.value["params"] for module in declarations(INFRA / "main.bicep", "module")}
    for parameter in ("stagingContainer", "quarantineContainer", "deploymentContainer"):
        assert given["storage"][parameter] == given["functionApp"][parameter]
    assert given["archive"]["container"] == given["functionApp"]["archiveContainer"]
    made = [part.text for part in one(INFRA / "storage.bicep", "var", "containerNames").value]
    assert made == ["stagingContainer", "quarantineContainer", "deadLetterContainer", "deploymentContainer"]


def test_queues_are_those_of_the_code() -> None:
    """Each queue is made, and the one where the host puts what has failed there five times."""
    made = [name + end for name in (job.QUEUE, backlog.QUEUE) for end in ("", "-poison")]
    assert one(INFRA / "storage.bicep", "var", "queueNames").value == made


def test_traces_are_not_sampled() -> None:
    """Alerts count log lines one by one, so none may be left out."""
    name = "AzureFunctionsJobHost__logging__applicationInsights__samplingSettings__excludedTypes"
    assert "Trace" in app_settings()[name].split(";")
