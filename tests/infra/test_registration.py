"""infra/register.sh, with stand-ins of `az` and `azd` that note what they are asked for: no tenant is touched."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recording.entra import SCOPE
from recording.model.roles import ROLES
from tests.infra.snapshots import INFRA

SCRIPT = INFRA / "register.sh"
TENANT = "8c5f7a39-0000-4000-8000-000000000003"
# Answers as `az` does; what was created is a file beside it.
AZ = """
import json, pathlib, sys
here, asked = pathlib.Path(__file__).parent, sys.argv[1:]
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(asked) + "\\n")
option = dict(zip(asked, asked[1:]))
match asked[:3]:
    case ["cloud", "show", _]:
        print("https://graph.microsoft.com/")
    case ["account", "show", _]:
        print("TENANT")
    case ["ad", "app", "list"]:
        name = option["--filter"].split("'")[1]
        print(f"id-of-{name}" if (here / name).exists() else "")
    case ["ad", "app", "create"]:
        (here / option["--display-name"]).touch()
        print(f"id-of-{option['--display-name']}")
    case ["ad", "sp", "show"]:
        sys.exit(0 if (here / f"sp-{option['--id']}").exists() else 3)
    case ["ad", "sp", "create"]:
        (here / f"sp-{option['--id']}").touch()
"""


def register(folder: Path) -> list[list[str]]:
    """Run the script; return the calls that it made."""
    for name in ("az", "azd"):
        # Started eighteen times in a run: without `site`, which it doesn't need, each start takes half the time.
        (folder / name).write_text(f"#!{sys.executable} -IS\n" + AZ.replace("TENANT", TENANT))
        (folder / name).chmod(0o755)
    (folder / "calls").write_text("")
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "AZURE_ENV_NAME": "production",
        "FUNCTION_APP_HOST": "func-x.azurewebsites.net",
    }
    ran = subprocess.run(["sh", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def changes(calls: list[list[str]]) -> list[tuple[str, Any]]:
    """List what is changed by the Graph API: the application, and the members."""
    patches = [call for call in calls if call[0] == "rest"]
    return [(call[call.index("--uri") + 1], json.loads(call[call.index("--body") + 1])) for call in patches]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[list[str]], list[list[str]]]:
    """The calls of a first and of a second run."""
    folder = tmp_path_factory.mktemp("registration")
    return register(folder), register(folder)


@pytest.fixture
def calls(runs: tuple[list[list[str]], list[list[str]]]) -> list[list[str]]:
    """The calls of the first run."""
    return runs[0]


def test_the_api_has_the_roles_and_the_scope_that_the_app_checks(calls: list[list[str]]) -> None:
    """Version 2 tokens, the five roles for people and services, and the claim that tells a service."""
    (uri, first), (_, second), _ = changes(calls)

    assert uri == "https://graph.microsoft.com/v1.0/applications(appId='id-of-recordings-api-production')"
    assert [role["value"] for role in first["appRoles"]] == list(ROLES)
    assert {tuple(role["allowedMemberTypes"]) for role in first["appRoles"]} == {("User", "Application")}
    assert first["optionalClaims"] == {"accessToken": [{"name": "idtyp"}]}
    assert first["api"]["requestedAccessTokenVersion"] == 2
    [scope] = first["api"]["oauth2PermissionScopes"]
    assert scope["value"] == SCOPE
    ids = [scope["id"], *(role["id"] for role in first["appRoles"])]
    assert len(set(ids)) == len(ids)
    assert second["api"]["preAuthorizedApplications"] == [
        {"appId": "id-of-recordings-page-production", "delegatedPermissionIds": [scope["id"]]}
    ]


def test_the_page_is_an_application_of_its_own_without_a_secret(calls: list[list[str]]) -> None:
    """So that an id token, whose audience is the page, never passes as an access token."""
    uri, page = changes(calls)[-1]

    assert "id-of-recordings-page-production" in uri
    assert page == {"spa": {"redirectUris": ["https://func-x.azurewebsites.net/"]}}
    assert not [call for call in calls if "credential" in call or "--password" in call]


def test_only_whom_a_role_was_given_gets_a_token(calls: list[list[str]]) -> None:
    """Assignment is required, and azd is told what the deployment needs."""
    api = "id-of-recordings-api-production"

    assert ["ad", "sp", "update", "--id", api, "--set", "appRoleAssignmentRequired=true"] in calls
    assert [call[2:] for call in calls if call[:2] == ["env", "set"]] == [
        ["ENTRA_TENANT_ID", TENANT],
        ["ENTRA_API_ID", api],
        ["ENTRA_PAGE_ID", "id-of-recordings-page-production"],
    ]


def test_it_can_be_repeated(runs: tuple[list[list[str]], list[list[str]]]) -> None:
    """A second run creates nothing, and changes the same."""
    calls, again = runs

    assert len([call for call in calls if "create" in call]) == 4
    assert not [call for call in again if "create" in call]
    assert changes(again) == changes(calls)
