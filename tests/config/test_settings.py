"""recording/config/settings.py: every app setting, read once; what is wrong is named and never shown."""

from datetime import timedelta

import pytest

from recording.config import settings
from recording.config.account import StorageAccount
from recording.config.resource import Resource
from recording.config.settings import Settings
from recording.errors import Misconfigured
from tests.support.facts import MIB

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ENDPOINT = "https://contoso.communication.azure.com"
STORAGE = "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"
LEAST = {"AzureWebJobsStorage": STORAGE, "ACS_CONNECTION_STRING": f"endpoint={ENDPOINT}/;accesskey={KEY}"}


def misconfigured(environment: dict[str, str]) -> str:
    """Read settings that are wrong: the message."""
    with pytest.raises(Misconfigured) as caught:
        settings.read_settings(environment)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.message


def test_the_least_that_works() -> None:
    """A storage account and an ACS resource are enough; all else has its default."""
    read = settings.read_settings({**LEAST, "PATH": "/bin", "unknown": "x"})

    assert (
        Resource(ENDPOINT, KEY),
        timedelta(hours=24),
        timedelta(hours=8),
        timedelta(minutes=15),
        (None, None),
        32 * MIB,
        8,
        "off",
        (),
        ("recordings-staging", "recordings-archive", "recordings-quarantine"),
    ) == (
        read.resource(),
        read.retention,
        read.risk_margin,
        read.first_rescue,
        (read.events_topic_endpoint, read.events_topic_key),
        read.largest_block,
        read.ingest_parallelism,
        read.auto_record,
        read.content_hosts,
        (read.staging_container, read.archive_container, read.quarantine_container),
    )
    assert STORAGE == read.staging_storage.connection_string.get_secret_value()  # type: ignore[union-attr]
    assert read.host_storage == read.staging_storage == read.archive_storage


@pytest.mark.parametrize("derived", [{}, {"DERIVED_STORAGE": STORAGE.replace("contoso", "derived")}])
def test_media_come_from_each_account_that_is_set(derived: dict[str, str]) -> None:
    """Each once, that of derived files only where there is one."""
    apart = {"ARCHIVE_STORAGE": STORAGE.replace("contoso", "archive")}

    found = settings.read_settings({**LEAST, **apart, **derived}).media_origins()

    names = ["archive", "contoso", *(["derived"] if derived else [])]
    assert tuple(f"https://{name}.blob.core.windows.net" for name in names) == found


def test_empty_counts_as_absent() -> None:
    """A setting that was emptied in the portal has its default again."""
    names = [str(field.alias) for field in Settings.model_fields.values()]

    assert settings.read_settings(LEAST) == settings.read_settings({name: "" for name in names} | LEAST)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACS_API_VERSION", "2099-secret"),
        ("ACS_API_VERSION", "2021-06-15-preview"),
        ("ACS_API_VERSION", "2021-08-30-preview"),
        ("ACS_API_VERSION", "2022-04-07-preview"),
        ("ACS_API_VERSION", "2024-09-15&x=1"),
        ("ACS_API_VERSION", "2024-09-15\n"),
        ("ACS_RESOURCE_ID", "contoso"),
        ("ACS_RESOURCE_ID", "29bd5ea9-e0fc-4d00-8f6f-339b1f0ee2e"),
        ("DELETE_SOURCE", "perhaps"),
        ("UNANNOUNCED_MINUTES", "0"),
        ("UNANNOUNCED_MINUTES", "1441"),
        ("SOURCE_RETENTION_HOURS", "0"),
        ("SOURCE_RETENTION_HOURS", "-48"),
        ("SOURCE_RETENTION_HOURS", "99999"),
        ("SOURCE_RETENTION_HOURS", "nan"),
        ("SOURCE_RETENTION_HOURS", "two days"),
        ("RISK_HOURS", "-1"),
        ("RISK_HOURS", "inf"),
        ("RISK_HOURS", "nan"),
        ("RESCUE_MINUTES", "0"),
        ("RESCUE_MINUTES", "-15"),
        ("RESCUE_MINUTES", "1441"),
        ("RESCUE_MINUTES", "nan"),
        ("STAGING_CONTAINER", "Upper-Case"),
        ("STAGING_CONTAINER", "ab"),
        ("ARCHIVE_CONTAINER", "a--b"),
        ("ARCHIVE_CONTAINER", "../secret"),
        ("QUARANTINE_CONTAINER", "a" * 64),
        ("INGEST_BLOCK_MIB", "3"),
        ("INGEST_BLOCK_MIB", "4001"),
        ("INGEST_BLOCK_MIB", "8.5"),
        ("INGEST_PARALLELISM", "0"),
        ("INGEST_PARALLELISM", "65"),
        ("INGEST_PARALLELISM", "many"),
        ("CONTENT_HOSTS", "https://storage.contoso.example"),
        ("CONTENT_HOSTS", "a.example;b.example"),
        ("CONTENT_HOSTS", "*.example"),
        ("CONTENT_HOSTS", "user@a.example"),
        ("AUTO_RECORD", "some"),
        ("ACS_ENDPOINT", "contoso.communication.azure.com"),
        ("ACS_ENDPOINT", "https://[contoso"),
        ("ACS_ENDPOINT", "https://contoso.communication.azure.com:port"),
        ("ACS_ENDPOINT", "https://contoso.communication.azure.com/;accesskey=c2VjcmV0"),
        ("ACS_ENDPOINT", "https://user:c2VjcmV0@contoso.communication.azure.com"),
        ("EVENTS_TOPIC_ENDPOINT", "contoso.westeurope-1.eventgrid.azure.net"),
        ("AzureWebJobsStorage", "c2VjcmV0"),
        ("STAGING_STORAGE", "AccountName=contoso;c2VjcmV0"),
        ("ARCHIVE_STORAGE", "@Microsoft.KeyVault(SecretUri)"),
    ],
)
def test_a_setting_that_is_wrong_is_named(name: str, value: str) -> None:
    """The message names the setting and keeps its value to itself."""
    message = misconfigured({**LEAST, name: value})

    assert message.startswith(f"app settings are wrong: {name}: ")
    assert len(value) < 3 or value not in message


def test_consent_is_not_required_of_those_whom_nobody_asks() -> None:
    """AUTO_RECORD starts without a caller that could ask: the app doesn't start with both, and names the setting."""
    message = misconfigured({**LEAST, "CONSENT": "required", "AUTO_RECORD": "all"})

    assert "CONSENT: " in message
    assert "can't be required together with AUTO_RECORD=all" in message
    assert "required" == settings.read_settings({**LEAST, "CONSENT": "required"}).consent


@pytest.mark.parametrize(
    ("given", "is_2021", "hours"),
    [
        ({}, False, 24),
        ({"ACS_API_VERSION": ""}, False, 24),
        ({"ACS_API_VERSION": "2021-04-15-preview1"}, True, 48),
        ({"ACS_API_VERSION": "2023-03-06"}, False, 24),
        ({"ACS_API_VERSION": "2026-03-12"}, False, 24),
        ({"ACS_API_VERSION": "2025-08-15-preview"}, False, 24),
        ({"ACS_API_VERSION": "2021-04-15-preview1", "SOURCE_RETENTION_HOURS": "24"}, True, 24),
        ({"SOURCE_RETENTION_HOURS": "48"}, False, 48),
    ],
)
def test_which_api_is_spoken(given: dict[str, str], is_2021: bool, hours: int) -> None:
    """The Call Automation API by default, each with its own retention unless a setting says otherwise."""
    read = settings.read_settings(LEAST | given)

    assert (is_2021, timedelta(hours=hours)) == (read.uses_preview_2021, read.retention)


def test_every_setting_that_is_wrong_is_named() -> None:
    """One look at the log is enough to fix them all."""
    message = misconfigured({**LEAST, "AUTO_RECORD": "s3cret", "INGEST_BLOCK_MIB": "s3cret", "RISK_HOURS": "s3cret"})

    assert all(name in message for name in ("AUTO_RECORD", "INGEST_BLOCK_MIB", "RISK_HOURS"))
    assert "s3cret" not in message


def test_nothing_is_set() -> None:
    """Without storage the app says what is missing."""
    assert misconfigured({}) == "app settings are wrong: AzureWebJobsStorage is not set"


def test_no_acs_resource() -> None:
    """Without an ACS resource the app says which settings to choose from."""
    read = settings.read_settings({"AzureWebJobsStorage": STORAGE})

    with pytest.raises(
        Misconfigured, match="set ACS_CONNECTION_STRING, or ACS_ENDPOINT for the app's managed identity"
    ):
        read.resource()


def test_an_endpoint_without_key() -> None:
    """An endpoint alone means the app's identity."""
    read = settings.read_settings({"AzureWebJobsStorage": STORAGE, "ACS_ENDPOINT": ENDPOINT + "/"})

    assert Resource(ENDPOINT, None) == read.resource()


def test_no_secret_is_ever_shown() -> None:
    """Neither repr nor str of the settings has a key, a connection string or a URI's token in it."""
    secret = "s3cretT0ken"
    read = settings.read_settings(
        {
            "ACS_CONNECTION_STRING": f"endpoint={ENDPOINT};accesskey={secret}",
            "AzureWebJobsStorage": f"AccountName=a;AccountKey={secret}",
            "STAGING_STORAGE__blobServiceUri": f"https://a.blob.core.windows.net/?sig={secret}",
            "ARCHIVE_STORAGE": f"AccountName=a;AccountKey={secret}",
            "PUBLIC_BASE_URL": "https://app.example",
            "CALLBACK_KEY": secret,
            "CONTENT_HOSTS": secret,
            "EVENTS_TOPIC_KEY": secret,
        }
    )

    shown = [f"{one!r} {one}" for one in (read, read.staging_storage, read.host_storage, read.archive_storage)]
    assert secret not in " ".join(shown)
    assert "public_base_url" in shown[0]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"X": "UseDevelopmentStorage=true", "X__blobServiceUri": "https://ignored"},
            {"connection_string": "UseDevelopmentStorage=true"},
        ),
        (
            {"X__blobServiceUri": "https://b", "X__queueServiceUri": "https://q"},
            {"blob_uri": "https://b", "queue_uri": "https://q"},
        ),
        (
            {"X__accountName": "contoso"},
            {
                "blob_uri": "https://contoso.blob.core.windows.net",
                "queue_uri": "https://contoso.queue.core.windows.net",
                "table_uri": "https://contoso.table.core.windows.net",
            },
        ),
        (
            {"X__accountName": "contoso", "X__blobServiceUri": "https://b", "X__tableServiceUri": "https://t"},
            {
                "blob_uri": "https://b",
                "queue_uri": "https://contoso.queue.core.windows.net",
                "table_uri": "https://t",
            },
        ),
    ],
)
@pytest.mark.parametrize("name", ["AzureWebJobsStorage", "STAGING_STORAGE", "ARCHIVE_STORAGE"])
def test_forms_of_a_connection(name: str, environment: dict[str, str], expected: dict[str, str]) -> None:
    """Storage is named as the Functions host takes it: connection string, URIs or account name."""
    given = {key.replace("X", name): value for key, value in environment.items()}

    read = settings.read_settings({**LEAST, **given} if name != "AzureWebJobsStorage" else given)

    found = {"AzureWebJobsStorage": read.host_storage, "STAGING_STORAGE": read.staging_storage}
    assert StorageAccount.model_validate(expected) == found.get(name, read.archive_storage)


def test_accounts_of_their_own() -> None:
    """Staging and archive may be elsewhere, each on its own; the host's storage stays where it is."""
    read = settings.read_settings({**LEAST, "ARCHIVE_STORAGE__blobServiceUri": "https://b"})

    assert (StorageAccount(blob_uri="https://b"), read.host_storage) == (read.archive_storage, read.staging_storage)


def test_without_an_account_there_are_no_derived_files() -> None:
    """The host's own account is no substitute: it has versions, which would keep what is erased."""
    assert not settings.read_settings(LEAST).keeps_derived
    assert settings.read_settings({**LEAST, "DERIVED_STORAGE__accountName": "contoso"}).keeps_derived


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        (LEAST | {"DERIVED_STORAGE__queueServiceUri": "https://q"}, "DERIVED_STORAGE__blobServiceUri"),
        ({"AzureWebJobsStorage__blobServiceUri": "https://b"}, "AzureWebJobsStorage__queueServiceUri"),
        ({"AzureWebJobsStorage__queueServiceUri": "https://q"}, "AzureWebJobsStorage__blobServiceUri"),
        (LEAST | {"STAGING_STORAGE__queueServiceUri": "https://q"}, "STAGING_STORAGE__blobServiceUri"),
        (LEAST | {"ARCHIVE_STORAGE__queueServiceUri": "https://q"}, "ARCHIVE_STORAGE__blobServiceUri"),
    ],
)
def test_half_a_connection(environment: dict[str, str], missing: str) -> None:
    """An identity connection without the URI that is needed is named at once, not at the first call."""
    assert f"app settings are wrong: {missing} is not set" == misconfigured(environment)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (LEAST | {"STAGING_STORAGE__blobServiceUri": "s3cret"}, "STAGING_STORAGE__blobServiceUri is not an https URL"),
        (
            LEAST | {"ARCHIVE_STORAGE__blobServiceUri": "http://s3cret"},
            "ARCHIVE_STORAGE__blobServiceUri is not an https URL",
        ),
        (
            LEAST | {"ARCHIVE_STORAGE": "BlobEndpoint=https://s3cret"},
            "ARCHIVE_STORAGE: Value error, has neither an account's name and key nor a shared access signature",
        ),
        (
            LEAST | {"ARCHIVE_STORAGE": "QueueEndpoint=https://q;SharedAccessSignature=s3cret"},
            "ARCHIVE_STORAGE: the connection string has no address of the blob service",
        ),
    ],
)
def test_a_connection_that_leads_nowhere(environment: dict[str, str], told: str) -> None:
    """The official client would say so too, in an exception that names no setting."""
    assert f"app settings are wrong: {told}" == misconfigured(environment)


def test_the_queue_may_be_all_that_the_host_storage_is_for() -> None:
    """With accounts for both containers, the host's storage needs its queues only."""
    read = settings.read_settings(
        {"AzureWebJobsStorage__queueServiceUri": "https://q", "STAGING_STORAGE": STORAGE, "ARCHIVE_STORAGE": STORAGE}
    )

    assert StorageAccount(queue_uri="https://q") == read.host_storage


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.example", ("a.example",)),
        (" a.example , b.example:8443,", ("a.example", "b.example:8443")),
        ("[::1]:9001,127.0.0.1:9002", ("[::1]:9001", "127.0.0.1:9002")),
        (",", ()),
    ],
)
def test_content_hosts(value: str, expected: tuple[str, ...]) -> None:
    """Hosts are separated by commas, each perhaps with a port."""
    assert expected == settings.read_settings({**LEAST, "CONTENT_HOSTS": value}).content_hosts


def test_the_table_has_every_setting() -> None:
    """The table of docs/settings.md has one row per setting, with no cell broken by its content."""
    rows = settings.markdown_table().splitlines()[2:]

    assert [f"`{field.alias}`" for field in Settings.model_fields.values()] == [row.split(" | ")[0][2:] for row in rows]
    assert all(row.count("|") == 4 for row in rows)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"PUBLIC_BASE_URL": "https://app.example/"}, "https://app.example/callbacks"),
        ({"PUBLIC_BASE_URL": "http://127.0.0.1:7071"}, "http://127.0.0.1:7071/callbacks"),
        (
            {"PUBLIC_BASE_URL": "https://app.example", "CALLBACK_KEY": "a/b=="},
            "https://app.example/callbacks?code=a%2Fb%3D%3D",
        ),
        ({"CALLBACK_KEY": "key"}, None),
    ],
)
def test_where_state_callbacks_go(given: dict[str, str], expected: str | None) -> None:
    """The callback address lets ACS in, by a key in its query; without an address none is asked for."""
    read = settings.read_settings({"AzureWebJobsStorage": STORAGE, "ACS_ENDPOINT": ENDPOINT, **given})

    assert expected == read.callback_uri()


REFERENCE = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/s3cret)"
PLACES = ("accountName", "blobServiceUri", "queueServiceUri")


@pytest.mark.parametrize(
    "name",
    [
        *(str(field.alias) for field in Settings.model_fields.values()),
        *(f"{account}__{place}" for account in ("AzureWebJobsStorage", "STAGING_STORAGE") for place in PLACES),
        "AZURE_CLIENT_ID",
        "AZURE_TOKEN_CREDENTIALS",
    ],
)
@pytest.mark.parametrize(
    "text",
    [REFERENCE, " @microsoft.keyvault (VaultName=v;SecretName=s3cret)", "@Microsoft.AppConfiguration(Key=s3cret)"],
)
def test_a_reference_that_azure_did_not_resolve(name: str, text: str) -> None:
    """Whatever the setting, it is named with what to do; the content of the reference isn't shown."""
    message = misconfigured({**LEAST, name: text})

    assert message.startswith(f"app settings are wrong: {name}: the reference is not resolved. In Azure: give")
    assert "s3cret" not in message


def test_references_of_others_are_none_of_ours() -> None:
    """A setting that the app doesn't read costs it nothing; neither does a value that has such a text within."""
    read = settings.read_settings({**LEAST, "THEIR_KEY": REFERENCE, "CALLBACK_KEY": f"key{REFERENCE}"})

    assert read.callback_key is not None


def test_a_reference_is_never_sent_as_the_key() -> None:
    """Where the callback key may stay unknown, callbacks are asked for without it."""
    given = {"PUBLIC_BASE_URL": "https://app.example", "CALLBACK_KEY": REFERENCE}

    read = settings.read_settings({**LEAST, **given}, may_be_unresolved=["CALLBACK_KEY"])

    assert "https://app.example/callbacks" == read.callback_uri()


@pytest.mark.parametrize("address", ["app.example", "http://app.example", "https://app.example?code=1", "https://"])
def test_an_address_that_acs_would_refuse(address: str) -> None:
    """A wrong address is found at the start, not by the first recording that ACS refuses."""
    with pytest.raises(Misconfigured, match="PUBLIC_BASE_URL"):
        settings.read_settings({"AzureWebJobsStorage": STORAGE, "ACS_ENDPOINT": ENDPOINT, "PUBLIC_BASE_URL": address})
