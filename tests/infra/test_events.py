"""infra/subscriptions.bicep and the hook that deploys it, against function_app.py."""

import re
import subprocess
from datetime import timedelta

import yaml
from azure.eventgrid import SystemEventNames

from recording.config.settings import read
from recording.model.events import CALL_ENDED, CALL_STARTED, FILE_STATUS_UPDATED
from tests.infra.app_code import functions
from tests.infra.bicep import INFRA, ROOT, declarations, one

SUBSCRIPTION = one(INFRA / "subscriptions.bicep", "resource", "recordingFiles").value["properties"]
ACS = {"ACS_ENDPOINT": "https://contoso.communication.azure.com"}
STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}
HOOKS = {"posix": INFRA / "subscribe.sh", "windows": INFRA / "subscribe.ps1"}


def test_destination_is_a_function_of_the_app() -> None:
    """The subscription names an Event Grid function that exists."""
    destination = SUBSCRIPTION["destination"]
    name = destination["properties"]["resourceId"].rpartition("/functions/")[2]
    assert (destination["endpointType"], functions()[name]) == ("AzureFunction", "event_grid_trigger")


def test_event_types_are_those_of_azure() -> None:
    """What the app takes from Event Grid is subscribed to, by its official name, and nothing is filtered further."""
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
    """Tries are the most there are, for half of the time that ACS keeps a recording, wherever that is said."""
    defaults = {found.name: found.value for found in declarations(INFRA / "subscriptions.bicep", "param")}
    half = int(read(ACS | STORAGE).retention / timedelta(minutes=2))
    assert (defaults["maxDeliveryAttempts"], defaults["eventTimeToLiveInMinutes"]) == (30, half)
    assert {
        system: re.findall(r"(?:TO_LIVE:-|else \{ ')(\d+)", path.read_text()) for system, path in HOOKS.items()
    } == {system: [str(half)] for system in HOOKS}


def test_dead_letters_are_written_by_identity() -> None:
    """An event that can't be delivered is kept, without a key to the account."""
    assert SUBSCRIPTION["deadLetterWithResourceIdentity"]["identity"]["type"] == "UserAssigned"
    assert "deadLetterDestination" not in SUBSCRIPTION


def test_topic_has_the_identity_and_the_type_of_acs() -> None:
    """The system topic is that of an ACS resource, in the global location, with the identity that dead-letters."""
    topic = one(INFRA / "communication-events.bicep", "resource", "topic").value
    assert (topic["location"], topic["identity"]["type"]) == ("global", "UserAssigned")
    assert topic["properties"]["topicType"] == "Microsoft.Communication.CommunicationServices"


def test_hooks_give_the_subscription_what_it_asks_for() -> None:
    """Both scripts pass each parameter without a default, and only values that main.bicep gives to azd."""
    asked = {p.name: p.value for p in declarations(INFRA / "subscriptions.bicep", "param")}
    outputs = {found.name for found in declarations(INFRA / "main.bicep", "output")}
    for system, path in HOOKS.items():
        source = path.read_text()
        given = set(re.findall(r"^\s+(\w+)=", source, re.MULTILINE)) - {"tries"}
        read = set(re.findall(r'"\$(?:env:)?([A-Z_]+)"', source)) - {"AZURE_SUBSCRIPTION_ID"}
        assert given <= set(asked), system
        assert {name for name, default in asked.items() if default is None} <= given, system
        assert read <= outputs, system


def test_hooks_are_run_by_azd() -> None:
    """azure.yaml runs them after the code is deployed, and deploys this folder as the function app."""
    project = yaml.safe_load((ROOT / "azure.yaml").read_text())
    assert {system: hook["run"] for system, hook in project["hooks"]["postdeploy"].items()} == {
        "posix": "sh infra/subscribe.sh",
        "windows": "./infra/subscribe.ps1",
    }
    service = project["services"]["app"]
    assert (service["host"], service["language"], service["project"]) == ("function", "python", ".")
    tags = text_of_app_tags()
    assert "'azd-service-name': 'app'" in tags


def text_of_app_tags() -> str:
    """Give the tags of the function app as written."""
    expression: str = one(INFRA / "function-app.bicep", "resource", "app").value["tags"].text
    return expression


def test_posix_hook_is_valid_shell() -> None:
    """`sh -n` reads the script without running it."""
    checked = subprocess.run(["sh", "-n", str(HOOKS["posix"])], capture_output=True, text=True, timeout=10, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_no_key_passes_through_a_hook() -> None:
    """Neither script nor azure.yaml asks for a key: what isn't there can't end in a shell's history."""
    sources = [path.read_text() for path in (*HOOKS.values(), ROOT / "azure.yaml")]
    assert [s for s in sources if re.search(r"keys list|listKeys|code=|connection-string", s)] == []
