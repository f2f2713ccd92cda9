"""The real Bicep compiler on infra/, where there is one: no warning, and snapshots that are current.

A run of it takes up to four CPU-seconds. So of the variants only the one with everything is evaluated here, of the
missing outputs one, and of the wrong environments one; the digests of test_snapshots.py say that every snapshot is as
the compiler made it. tests/acceptance/test_compiler.py goes through all of them.
"""

import re
from typing import Any

import pytest

from tests.infra import compiler
from tests.infra.snapshots import INFRA, REPAIR, SNAPSHOTS, environments

needs_compiler = pytest.mark.skipif(compiler.compiler() is None, reason=compiler.MISSING)


@needs_compiler
def test_the_compiler_has_nothing_to_say() -> None:
    """No error, no warning, no information, on any template."""
    assert compiler.lint() == ""


def assert_is_evaluated(parameters: str, variant: str) -> None:
    """The stored snapshot is the one that is made from the templates as they are."""
    stored = (SNAPSHOTS / f"{variant}.json").read_text()
    assert compiler.evaluate(parameters, environments()[parameters][variant]) == stored, REPAIR


@needs_compiler
def test_a_snapshot_is_what_the_compiler_evaluates() -> None:
    """That of the variant that has the most resources."""
    assert_is_evaluated("main.bicepparam", "everything-on")


def test_every_parameter_file_has_a_snapshot() -> None:
    """So that each is built and evaluated by tests/acceptance/test_compiler.py."""
    assert {path.name for path in INFRA.glob("*.bicepparam")} == set(environments())


def assert_is_named(output: str) -> None:
    """The template refuses an environment without this output, and says what to run."""
    environment = environments()["subscriptions.bicepparam"]["subscriptions"] | {output: ""}
    with pytest.raises(compiler.Refused, match=f"The azd environment has no {output}: run azd provision --no-state"):
        compiler.evaluate("subscriptions.bicepparam", environment)


@needs_compiler
def test_a_missing_output_is_named() -> None:
    """The hook may run in an environment that azd has not provisioned yet."""
    assert_is_named(next(iter(environments()["subscriptions.bicepparam"]["subscriptions"])))


@pytest.fixture(scope="module")
def built() -> tuple[dict[str, Any], dict[str, Any]]:
    """main.bicepparam, built on a new machine: the parameters and the template."""
    return compiler.build("main.bicepparam", {})


@needs_compiler
@pytest.mark.xdist_group("main.bicepparam")
def test_every_module_waits_for_the_resource_group(built: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A module that is deployed into the new group begins when the group is there."""
    _, template = built
    made = template["resources"]
    modules = {name for name, one in made.items() if one["type"] == "Microsoft.Resources/deployments"}
    assert len(modules) >= 10
    assert {name for name in modules if "group" not in made[name]["dependsOn"]} == set()


@needs_compiler
@pytest.mark.xdist_group("main.bicepparam")
def test_defaults_stand_in_one_place(built: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Where main.bicepparam repeats a default of main.bicep, the two are equal."""
    parameters, template = built
    defaults = {name: one["defaultValue"] for name, one in template["parameters"].items() if "defaultValue" in one}
    given = {name: one["value"] for name, one in parameters["parameters"].items() if name in defaults}
    assert given
    assert given == {name: defaults[name] for name in given}


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


def assert_is_refused(environment: dict[str, str], said: list[str]) -> None:
    """Each message is named at once, before anything is deployed."""
    with pytest.raises(compiler.Refused) as refused:
        compiler.evaluate("main.bicepparam", environment)
    assert [sentence for sentence in said if sentence not in str(refused.value)] == []


@needs_compiler
def test_a_wrong_environment_is_refused_with_sentences() -> None:
    """A value that contradicts another is named before anything is deployed: all at once."""
    assert_is_refused(*max(WRONG, key=lambda one: len(one[1])))


def test_every_contradiction_is_tried() -> None:
    """Each sentence of the template is the whole message for one of the wrong environments."""
    source = (INFRA / "main.bicep").read_text().partition("var contradictions")[2].partition("], sentence")[0]
    sentences = re.findall(r"^    : '(.+)'$", source, re.MULTILINE)
    assert len(sentences) == source.count("? ''")
    read = [sentence for _, said in WRONG for sentence in said]
    values = [re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(sentence)) for sentence in sentences]
    assert [one for one in values if not any(re.fullmatch(one, sentence) for sentence in read)] == []


def test_a_compiler_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path in BICEP doesn't pass for a machine without a compiler."""
    monkeypatch.setenv("BICEP", str(INFRA / "nothing"))
    with pytest.raises(FileNotFoundError, match="which is not a program"):
        compiler.compiler()


def test_the_report_says_what_checked_the_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler the first lines of `make test` say so, and how to get one."""
    monkeypatch.delenv("BICEP", raising=False)
    monkeypatch.setenv("PATH", "")
    assert compiler.state() == f"bicep: templates are checked by their snapshots alone; {compiler.MISSING}"
