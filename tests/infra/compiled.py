"""What the Bicep compiler must make of the variants and of wrong environments."""

import pytest

from tests.infra import compiler
from tests.infra.snapshots import REPAIR, SNAPSHOTS, environments

needs_compiler = pytest.mark.skipif(compiler.compiler() is None, reason=compiler.MISSING)

# Environments with several errors at once, each with the messages.
WRONG: list[tuple[dict[str, str], list[str]]] = [
    (
        {
            "ALERT_EMAILS": "ops",
            "AUTO_RECORD": "some",
            "DELETE_SOURCE": "perhaps",
            "INGEST_PARALLELISM": "many",
            "INSTANCE_MEMORY_MB": "512",
        },
        [
            'ALERT_EMAILS contains "ops", which is not an email address',
            "Expected a value of type \"'all' | 'off'\"",
            'Failed to evaluate parameter "deleteSource"',
            "cannot convert provided value 'many'",
            'INSTANCE_MEMORY_MB is "512"; it must be 2048 or 4096.',
        ],
    ),
    ({"SILENCE_HOURS": "48"}, ["'silenceHours' is not valid"]),
    (
        {
            "ACS_RESOURCE_GROUP": "rg-telephony",
            "ACS_TOPIC_NAME": "evgt-contoso",
            "ARCHIVE_COLD_AFTER_DAYS": "30",
            "ARCHIVE_IMMUTABILITY_LOCKED": "true",
            "ARCHIVE_IMMUTABILITY_SUPPORT": "true",
            "CALLBACK_KEY_SECRET_URI": "https://contoso.vault.azure.net/secrets/callback-key",
            "ENTRA_TENANT_ID": "8c5f7a39-0000-4000-8000-000000000003",
            "RISK_HOURS": "24",
            "AUTO_RECORD": "all",
            "HTTP_ALWAYS_READY": "1",
            "STAGING_SKU": "Standard_LRS",
            "RUNBOOK_URL": "docs/runbook.md",
            "ZONE_REDUNDANT": "true",
        },
        [
            "ACS_NAME and ACS_RESOURCE_GROUP name an existing ACS resource together: set both or neither.",
            "ACS_DATA_LOCATION is where the new ACS resource keeps its data at rest, and can never be changed: set it, "
            "for example to Europe or United States.",
            "ACS_TOPIC_NAME is the topic of an existing ACS resource: set ACS_NAME and ACS_RESOURCE_GROUP, too, or "
            "remove it.",
            "ARCHIVE_COLD_AFTER_DAYS (30) must be more than ARCHIVE_COOL_AFTER_DAYS (30): recordings become colder "
            "with time. 0 omits a tier.",
            "ARCHIVE_IMMUTABILITY_LOCKED says that a policy was locked: keep the ARCHIVE_IMMUTABLE_DAYS that it has.",
            "CALLBACK_KEY_SECRET_URI is used only together with PUBLIC_BASE_URL: set both, or remove it.",
            "ENTRA_TENANT_ID and ENTRA_API_ID belong together: set both, as infra/register.sh does, or neither.",
            "RISK_HOURS (24) is not below the 24 hours for which ACS keeps a recording: every chunk would be at risk "
            "at once.",
            "HTTP_ALWAYS_READY is 1, and ZONE_REDUNDANT needs at least two, or none.",
            "RUNBOOK_URL must be the https address at which your team reads docs/runbook.md, not "
            "docs/runbook.md: remove it if there is none.",
            "ZONE_REDUNDANT needs a STAGING_SKU with zones, not Standard_LRS: the app cannot run without that account.",
        ],
    ),
    (
        {
            "ACS_NAME": "acs-contoso",
            "ACS_API_VERSION": "2021-04-15-preview1",
            "ARCHIVE_IMMUTABLE_DAYS": "30",
            "CALLBACK_KEY_SECRET_URI": "callback-key",
            "DELETE_SOURCE": "true",
            "HTTP_ALWAYS_READY": "101",
            # The address of an app that has none yet: https://$FUNCTION_APP_HOST, before the first deployment.
            "PUBLIC_BASE_URL": "https://",
            "SOURCE_RETENTION_HOURS": "72",
        },
        [
            "ACS_NAME and ACS_RESOURCE_GROUP name an existing ACS resource together: set both or neither.",
            "ARCHIVE_IMMUTABLE_DAYS needs ARCHIVE_IMMUTABILITY_SUPPORT: without it the container accepts no policy.",
            "CALLBACK_KEY_SECRET_URI must be the https address of a Key Vault secret, not callback-key.",
            "DELETE_SOURCE needs the Call Automation API: the 2021 preview API (ACS_API_VERSION) has no such "
            "operation.",
            "HTTP_ALWAYS_READY (101) is more than MAXIMUM_INSTANCE_COUNT (100).",
            "PUBLIC_BASE_URL must be https://<host>, not https://: FUNCTION_APP_HOST has the host after the first "
            "azd up; remove it until then.",
            "SOURCE_RETENTION_HOURS (72) is longer than ACS keeps a recording: 24 hours, 48 with the 2021 preview API.",
        ],
    ),
]


def assert_is_evaluated(parameters: str, variant: str) -> None:
    """The stored snapshot is the one that is made from the templates as they are."""
    stored = (SNAPSHOTS / f"{variant}.json").read_text()
    assert compiler.evaluate(parameters, environments()[parameters][variant]) == stored, REPAIR


def assert_is_named(output: str) -> None:
    """The template refuses an environment without this output, and says what to run."""
    environment = environments()["subscriptions.bicepparam"]["subscriptions"] | {output: ""}
    with pytest.raises(compiler.Refused, match=f"The azd environment has no {output}: run azd provision --no-state"):
        compiler.evaluate("subscriptions.bicepparam", environment)


def assert_is_refused(environment: dict[str, str], said: list[str]) -> None:
    """Each message is named at once, before anything is deployed."""
    with pytest.raises(compiler.Refused) as refused:
        compiler.evaluate("main.bicepparam", environment)
    assert [sentence for sentence in said if sentence not in str(refused.value)] == []
