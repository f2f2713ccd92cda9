"""infra/subscriptions.bicep and the hook that deploys it, against function_app.py."""

import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure.eventgrid import SystemEventNames

from recording.config.settings import read_settings
from recording.model.events import CALL_ENDED, CALL_STARTED, FILE_STATUS_UPDATED
from tests.infra.app_code import functions
from tests.infra.snapshots import INFRA, ROOT, environments, resource, resources, snapshot, variants

SUBSCRIPTION = resource("Microsoft.EventGrid/systemTopics/eventSubscriptions", variant="subscriptions").properties
ACS = {"ACS_ENDPOINT": "https://contoso.communication.azure.com"}
STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}
HOOKS = {"posix": INFRA / "subscribe.sh", "windows": INFRA / "subscribe.ps1"}


def test_destination_is_a_function_of_the_app() -> None:
    """The subscription names an Event Grid function that exists."""
    assert SUBSCRIPTION["destination"]["endpointType"] == "AzureFunction"
    assert functions()[_function(SUBSCRIPTION)] == "event_grid_trigger"


def test_event_types_are_those_of_azure() -> None:
    """The event types that the app handles are subscribed to, by their official names, without another filter."""
    official = SystemEventNames
    assert SUBSCRIPTION["filter"] == {
        "includedEventTypes": [
            official.AcsRecordingFileStatusUpdatedEventName.value,
            official.AcsCallStartedEventName.value,
            official.AcsCallEndedEventName.value,
        ]
    }
    assert SUBSCRIPTION["filter"]["includedEventTypes"] == [FILE_STATUS_UPDATED, CALL_STARTED, CALL_ENDED]


def test_one_event_at_a_time() -> None:
    """The host repeats a whole batch when one event of it fails, so batches have one."""
    assert SUBSCRIPTION["destination"]["properties"]["maxEventsPerBatch"] == 1


def test_an_event_is_given_up_while_its_recording_can_still_be_fetched() -> None:
    """Tries are the most there are, for half of the time that ACS keeps a recording."""
    half = int(read_settings(ACS | STORAGE).retention / timedelta(minutes=2))
    assert SUBSCRIPTION["retryPolicy"] == {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": half}


def test_dead_letters_are_written_by_identity() -> None:
    """An event that can't be delivered is kept, without a key to the account."""
    assert SUBSCRIPTION["deadLetterWithResourceIdentity"]["identity"]["type"] == "UserAssigned"
    assert "deadLetterDestination" not in SUBSCRIPTION


@pytest.mark.parametrize("variant", variants())
def test_topic_has_the_identity_and_the_type_of_acs(variant: str) -> None:
    """The system topic is that of an ACS resource, in the global location, with the identity that dead-letters."""
    topic = resource("Microsoft.EventGrid/systemTopics", variant=variant)
    assert (topic.body["location"], topic.body["identity"]["type"]) == ("global", "UserAssigned")
    assert list(topic.body["identity"]["userAssignedIdentities"]) == [
        snapshot(variant)["outputs"]["EVENTS_IDENTITY_ID"]
    ]
    assert topic.properties["topicType"] == "Microsoft.Communication.CommunicationServices"
    assert topic.properties["source"].startswith(
        f"/subscriptions/{topic.id.split('/')[2]}/resourceGroups/{topic.group}/"
    )


def test_existing_resources_are_used() -> None:
    """No second ACS resource is made, and a topic that exists is written to under its own name, in its own group."""
    assert [
        resources("Microsoft.Communication/communicationServices", v) for v in ("existing-acs", "existing-topic")
    ] == [
        [],
        [],
    ]
    topics = [resource("Microsoft.EventGrid/systemTopics", variant=v) for v in ("existing-acs", "existing-topic")]
    assert [(topic.group, re.sub(r"[a-z0-9]{13}$", "", topic.name)) for topic in topics] == [
        ("rg-telephony", "evgt-acs-"),
        ("rg-telephony", "evgt-contoso"),
    ]


def test_the_subscription_gets_what_main_gives_to_azd() -> None:
    """Each value that may not be empty is an output of main.bicep, which azd keeps in its environment."""
    needed = set(environments()["subscriptions.bicepparam"]["subscriptions"])
    source = (INFRA / "subscriptions.bicepparam").read_text()
    assert needed | {"FUNCTION_ADDRESS"} == set(re.findall(r"readEnvironmentVariable\('(\w+)', ''\)", source))
    assert needed <= set(snapshot("default")["outputs"])


def test_a_subscription_by_address_differs_only_in_its_destination() -> None:
    """It has the same name (for the alerts), events and dead letters, and reaches the same function."""
    by_id, by_address = (
        resource("Microsoft.EventGrid/systemTopics/eventSubscriptions", variant=variant)
        for variant in ("subscriptions", "subscriptions-by-address")
    )
    assert by_address.name == by_id.name
    destination = by_address.properties["destination"]
    given = environments()["subscriptions.bicepparam"]["subscriptions-by-address"]
    batches = {name: value for name, value in SUBSCRIPTION["destination"]["properties"].items() if name != "resourceId"}
    assert destination == {
        "endpointType": "WebHook",
        # A secret is an expression in a snapshot.
        "properties": batches | {"endpointUrl": "[parameters('functionAddress')]"},
    }
    minutes = {"eventTimeToLiveInMinutes": int(given["EVENT_MINUTES_TO_LIVE"])}
    assert by_address.properties == by_id.properties | {
        "destination": destination,
        "retryPolicy": by_id.properties["retryPolicy"] | minutes,
    }


def test_hooks_deploy_the_subscription() -> None:
    """Both scripts deploy the parameter file, and read only values that main.bicep or azd itself gives."""
    outputs = set(snapshot("default")["outputs"]) | {"AZURE_SUBSCRIPTION_ID"}
    for system, path in HOOKS.items():
        source = path.read_text()
        assert "--parameters infra/subscriptions.bicepparam" in source, system
        assert set(re.findall(r'"\$(?:env:)?([A-Z_]+)"', source)) <= outputs, system


def test_hooks_are_run_by_azd() -> None:
    """azure.yaml runs them after the code is deployed, and deploys this folder as the function app."""
    project = yaml.safe_load((ROOT / "azure.yaml").read_text())
    assert {system: hook["run"] for system, hook in project["hooks"]["postdeploy"].items()} == {
        "posix": "sh infra/subscribe.sh",
        "windows": "./infra/subscribe.ps1",
    }
    # Older ones delete what isn't theirs.
    assert project["requiredVersions"] == {"azd": ">= 1.25.0"}
    service = project["services"]["app"]
    assert (service["host"], service["language"], service["project"]) == ("function", "python", ".")
    assert resource("Microsoft.Web/sites").body["tags"]["azd-service-name"] == "app"


def test_posix_hook_is_valid_shell() -> None:
    """`sh -n` reads the script without running it."""
    checked = subprocess.run(["sh", "-n", str(HOOKS["posix"])], capture_output=True, text=True, timeout=10, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def subscribe(folder: Path, az: str) -> tuple[int, str, list[str]]:
    """Run the hook with an `az` of a few lines of shell; give its status, what it said, and the calls of `az`."""
    commands = {"az": f'echo "$@" >> {folder}/calls\n{az}', "sleep": ":"}
    for name, body in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    names = ("AZURE_SUBSCRIPTION_ID", "EVENTS_GROUP")
    environment = {name: "x" for name in names} | {"PATH": f"{folder}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["sh", str(HOOKS["posix"])], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    return ran.returncode, ran.stderr, (folder / "calls").read_text().splitlines()


NOT_SEEN = "ERROR: Endpoint validation: Destination endpoint not found. Resource details: resourceId: /subscriptions/0"


def test_nothing_is_deployed_without_a_login(tmp_path: Path) -> None:
    """`azd auth login` signs in azd alone: the hook says what is missing, and tries nothing."""
    status, said, calls = subscribe(tmp_path, "exit 1")
    assert (status, "az login" in said, calls) == (1, True, ["account show --output none"])


def test_a_function_that_is_not_seen_yet_is_waited_for(tmp_path: Path) -> None:
    """Event Grid sees a function some time after its deployment."""
    early = f'[ "$1" = deployment ] && [ "$(grep -c deployment {tmp_path}/calls)" -lt 3 ]'
    status, said, calls = subscribe(tmp_path, f'if {early}; then echo "{NOT_SEEN}" >&2; exit 1; fi')
    assert (status, said.count("the next try is in 30 s"), len(calls)) == (0, 2, 4)


def test_a_function_that_never_appears_ends_the_hook(tmp_path: Path) -> None:
    """After six tries the hook fails, and says where to read on."""
    status, said, calls = subscribe(tmp_path, f'[ "$1" = account ] || {{ echo "{NOT_SEEN}" >&2; exit 1; }}')
    assert (status, len(calls)) == (1, 7)
    assert said.rstrip().endswith("See docs/deploy-upgrade.md#subscribing-failed")


def test_another_failure_is_not_repeated(tmp_path: Path) -> None:
    """A missing right or a wrong value doesn't get better by waiting."""
    status, said, calls = subscribe(
        tmp_path, '[ "$1" = account ] || { echo "ERROR: AuthorizationFailed" >&2; exit 1; }'
    )
    assert (status, "AuthorizationFailed" in said, len(calls)) == (1, True, 2)


def test_both_hooks_know_the_same() -> None:
    """What one says and waits for, the other does, too."""
    posix, windows = (path.read_text() for path in (HOOKS["posix"], HOOKS["windows"]))
    said = [re.findall(r"(?i)\bfail '(.+)'", source) for source in (posix, windows)]
    assert said[0] == said[1]
    assert len(said[0]) == 3
    assert [source.count("Destination endpoint not found") for source in (posix, windows)] == [1, 1]


def test_no_key_passes_through_a_hook() -> None:
    """Neither script nor azure.yaml asks for a key: what isn't there can't end in a shell's history."""
    sources = [path.read_text() for path in (*HOOKS.values(), ROOT / "azure.yaml")]
    assert [s for s in sources if re.search(r"keys list|listKeys|code=|connection-string", s)] == []


def _function(subscription: dict[str, Any]) -> str:
    name: str = subscription["destination"]["properties"]["resourceId"].rpartition("/functions/")[2]
    return name
