"""infra/names.sh: whoever is signed in gets the names of a deployment, as azd's own environment has them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.snapshots import INFRA, resources, snapshot

SCRIPT = INFRA / "names.sh"
# Answers as `az` does, from a list of resources; what only Azure knows is a word.
AZ = """
import json, pathlib, sys
asked = sys.argv[1:]
match asked[:2]:
    case ["account", "show"]:
        print("00000000-0000-0000-0000-000000000001")
        sys.exit(int((pathlib.Path(__file__).parent / "signed-out").exists()))
    case ["resource", "list"]:
        tag = asked[asked.index("--tag") + 1]
        for type, name, group, tags in json.loads((pathlib.Path(__file__).parent / "resources").read_text()):
            if tag in tags:
                print(type, name, group, sep="\\t")
    case ["functionapp", "show"]:
        print("host.example")
    case ["identity", "show"]:
        print("principal of " + asked[asked.index("-n") + 1])
    case ["monitor", "log-analytics"]:
        print("workspace " + asked[asked.index("-n") + 1])
"""


def names(folder: Path, variant: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script with an `az` that knows the tagged resources of a variant."""
    tagged = [
        (one.type, one.name, one.group, [f"{key}={value}" for key, value in one.body["tags"].items()])
        for one in resources(variant=variant)
        if "tags" in one.body
    ]
    (folder / "resources").write_text(json.dumps(tagged))
    (folder / "az").write_text(f"#!{sys.executable}\n{AZ}")
    (folder / "az").chmod(0o755)
    return subprocess.run(
        ["sh", str(SCRIPT), *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("variant", ["default", "existing-acs", "existing-topic"])
def test_names_are_the_outputs_of_the_deployment(tmp_path: Path, variant: str) -> None:
    """Also where the topic is in the group of an ACS resource that existed before."""
    ran = names(tmp_path, variant, "recordings")

    assert (ran.returncode, ran.stderr) == (0, "")
    found = dict(re.findall(r"^(\w+)='(.*)'$", ran.stdout, re.MULTILINE))
    known = {k: v for k, v in snapshot(variant)["outputs"].items() if k in found and not str(v).startswith("[")}
    from_azure = {"AZURE_SUBSCRIPTION_ID", "FUNCTION_APP_HOST", "V1_ADDRESS", "APP_PRINCIPAL_ID", "LOG_WORKSPACE_ID"}
    assert {name: found[name] for name in found if name not in from_azure} == {
        name: value for name, value in known.items() if name not in from_azure
    }
    assert {name for name in snapshot(variant)["outputs"] if name.endswith("_ACCOUNT_NAME")} <= found.keys()
    token = found["FUNCTION_APP_NAME"].removeprefix("func-")
    assert {name: found[name] for name in from_azure} == {
        "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000001",
        "FUNCTION_APP_HOST": "host.example",
        "V1_ADDRESS": "https://host.example/v1",
        "APP_PRINCIPAL_ID": f"principal of id-app-{token}",
        "LOG_WORKSPACE_ID": f"workspace log-{token}",
    }


def test_the_events_are_subscribed_with_these_names_alone(tmp_path: Path) -> None:
    """`subscribe.sh` and its parameters read nothing else that has no default: whoever is signed in can run it."""
    found = {*re.findall(r"^(\w+)=", names(tmp_path, "default", "recordings").stdout, re.MULTILINE)}
    script, parameters = ((INFRA / name).read_text() for name in ("subscribe.sh", "subscriptions.bicepparam"))
    read = {*re.findall(r"\$([A-Z][A-Z_]+)", script), *re.findall(r"'([A-Z_]+)', ''\)\n", parameters)}

    assert len(read) >= 6
    assert read - found == {"FUNCTION_ADDRESS"}


def test_a_deployment_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Nothing is printed that a shell would take for names."""
    ran = names(tmp_path, "default", "another")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("There is no deployment another in this subscription")


def test_who_is_not_signed_in_is_told(tmp_path: Path) -> None:
    """Before anything is looked for."""
    (tmp_path / "signed-out").touch()

    ran = names(tmp_path, "default", "recordings")

    assert (ran.returncode, ran.stdout, "az login" in ran.stderr) == (1, "", True)
