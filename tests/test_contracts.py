"""What is in more than one place and must agree; what may import what is in pyproject.toml (lint-imports, ruff)."""

import ast
import json
import re
import sys
import tomllib
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from recording import timer
from recording.archive import finish, hand_over
from recording.config import settings
from recording.config.settings import Settings
from recording.ingest import chunk
from recording.intake import backlog
from recording.joining import make
from recording.model import attempts, job
from tests.support import tables

ROOT = Path(__file__).resolve().parent.parent
FORMS = ("", "__blobServiceUri", "__queueServiceUri", "__accountName")


def sources(folder: str) -> dict[str, Path]:
    """List a package's modules by name."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def imports(path: Path) -> frozenset[str]:
    """List what a module imports, wherever in it: `a.b` and, for `from a import b`, `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


# Modules without tests of their own, and the tests that run them.
TESTED_THROUGH_ANOTHER = {
    "acs/service": "acs/test_call_automation",
    "api/doors": "test_v1",
    "api/response": "test_function_app",
    "catalogue/operations_view": "catalogue/test_operations",
    "clock": "test_timer",
    "commands/arguments": "commands/test_reconcile",
    "commands/doctor": "doctor/test_examination",
    "commands/progress": "commands/test_file",
    "commands/replay": "intake/test_replay",
    "catalogue/erasures": "erasing/test_requests",
    "config/references": "config/test_settings",
    "entra": "test_v1",
    "erasing/blocked": "erasing/test_requests",
    "erasing/removal": "erasing/test_job",
    "erasing/scope": "erasing/test_job",
    "erasing/trail": "erasing/test_job",
    "formats/verdict": "formats/test_media",
    "ingest/transfer": "ingest/test_chunk_resume",
    "intake/quarantine": "intake/test_receive",
    "join/boxes": "join/test_mp4_head",
    "join/mp4_coding": "join/test_plan",
    "join/names": "join/test_plan",
    "join/parts": "join/test_plan",
    "join/refusals": "join/test_plan",
    "join/sources": "join/test_plan",
    "joining/fact": "joining/test_make",
    "joining/heads": "joining/test_make",
    "joining/proof": "joining/test_make",
    "model/events": "model/test_event_parser",
    "model/holds": "keeping/test_searches",
    "model/pending": "archive/test_unannounced",
    "model/caller": "api/test_request",
    "model/roles": "test_v1",
    "model/surroundings": "api/test_page",
    "model/trail": "storage/test_trail",
    "signers": "acs/test_callbacks",
    "storage/keeping": "keeping/test_changes",
    "model/quarantined": "intake/test_receive",
    "people/collect": "people/test_exports",
    "model/participant": "model/test_index",
    "model/metadata_file": "model/test_payload_metadata_file",
    "model/started": "catalogue/test_indexing",
    "storage/consents": "control/test_consents",
    "storage/endings": "archive/test_unannounced",
    "storage/erasures": "erasing/test_job",
}


def test_each_module_has_its_tests() -> None:
    """A module has tests of its own, in a file with its name, or is listed with the tests that run it."""
    modules = {path.relative_to(ROOT / "recording").with_suffix("") for path in sources("recording").values()}
    without = {str(module) for module in modules if not module.name.startswith("__") and not _tests_of(module)}

    assert set(TESTED_THROUGH_ANOTHER) == without
    assert [] == [name for name in TESTED_THROUGH_ANOTHER.values() if not (ROOT / "tests" / f"{name}.py").is_file()]


def test_each_file_of_tests_belongs_to_a_module() -> None:
    """In the package of the module, and with a name that begins with the module's."""
    modules = {path.relative_to(ROOT / "recording").with_suffix("") for path in sources("recording").values()}
    packages = {module.parent for module in modules if module.parent.name}
    files = {path for package in packages for path in (ROOT / "tests" / package).glob("test_*.py")}

    assert len(files) > 50
    assert set() == files - {path for module in modules for path in _tests_of(module)}


def _tests_of(module: Path) -> list[Path]:
    return [
        path
        for path in (ROOT / "tests" / module.parent).glob("test_*.py")
        if f"{path.stem}_".startswith(f"test_{module.name}_")
    ]


def test_black_box_tests_import_nothing_of_the_app() -> None:
    """The tests of the whole path know it as its users do: over HTTP."""
    assert [] == [
        p.name for p in sources("tests/e2e").values() if any(i.split(".")[0] == "recording" for i in imports(p))
    ]


@cache
def functions() -> dict[str, dict[str, Any]]:
    """List the app's functions as the host sees them: name to trigger."""
    # Loaded again: an app can be asked for its functions only once (azure-functions 2.3.0).
    spec = spec_from_file_location("function_app_of_the_contracts", ROOT / "function_app.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return {one.get_function_name(): one.get_trigger().get_dict_repr() for one in module.app.get_functions()}


def test_what_several_tests_need_is_in_support() -> None:
    """No test module imports another one."""
    imported = re.compile(r"^ *(?:from|import) +[.\w]*\btest_\w+", re.MULTILINE)
    found = {name: imported.findall(path.read_text()) for name, path in sources("tests").items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_routes_are_the_designs() -> None:
    """Function names, methods and routes are public: they stand in clients and dashboards."""
    one = "conversations/{conversationId}/recordings/{recordingId}"

    found = {
        name: (
            " ".join(method.value for method in trigger["methods"]),
            trigger["route"],
            trigger["authLevel"].value.lower(),
        )
        for name, trigger in functions().items()
        if trigger["type"] == "httpTrigger"
    }

    both = {
        "start_recording": ("POST", "conversations/{conversationId}/recordings"),
        "start_recording_by_url": ("POST", "recordings"),
        "get_recording_state": ("GET", one),
        "stop_recording": ("DELETE", one),
        "pause_recording": ("POST", f"{one}/pause"),
        "resume_recording": ("POST", f"{one}/resume"),
        "list_recordings": ("GET", "recordings"),
        "get_recording": ("GET", "recordings/{recordingKey}"),
        "verify_recording": ("POST", "recordings/{recordingKey}/verify"),
        "get_chunk_content": ("GET", "recordings/{recordingKey}/chunks/{index}/content"),
    }
    only_with_token = {
        "verify_chunk": ("POST", "recordings/{recordingKey}/chunks/{index}/verify"),
        "requeue_chunk": ("POST", "recordings/{recordingKey}/chunks/{index}/requeue"),
        "set_retention": ("PUT", "recordings/{recordingKey}/retention"),
        "place_hold": ("PUT", "recordings/{recordingKey}/hold"),
        "lift_hold": ("DELETE", "recordings/{recordingKey}/hold"),
        "place_holds": ("POST", "holds"),
        "get_holds": ("GET", "holds/{holdId}"),
        "get_operations": ("GET", "operations"),
        "list_waiting": ("GET", "operations/waiting"),
        "list_not_announced": ("GET", "operations/not-announced"),
        "list_quarantined": ("GET", "operations/quarantined"),
        "get_quarantined": ("GET", "operations/quarantined/{eventKey}"),
        "replay_quarantined": ("POST", "operations/quarantined/{eventKey}/replay"),
        "list_dead_letters": ("GET", "operations/dead-letters"),
        "list_live": ("GET", "live"),
        "create_export": ("POST", "exports"),
        "get_export": ("GET", "exports/{exportId}"),
        "note_consent": ("POST", "conversations/{conversationId}/consents"),
        "list_consents": ("GET", "conversations/{conversationId}/consents"),
        "get_me": ("GET", "me"),
        "create_links": ("POST", "recordings/{recordingKey}/links"),
        "get_recording_file": ("GET", "recordings/{recordingKey}/file"),
        "download_manifest": ("GET", "recordings/{recordingKey}/manifest"),
        "download_checksums": ("GET", "recordings/{recordingKey}/sha256sums"),
        "get_recording_trail": ("GET", "recordings/{recordingKey}/trail"),
        "get_trail": ("GET", "trail"),
        "erase_recording": ("POST", "recordings/{recordingKey}/erase"),
        "call_off_erasure": ("DELETE", "recordings/{recordingKey}/erase"),
        "erase_person": ("POST", "erasures"),
        "list_erasures": ("GET", "erasures"),
        "get_erasure": ("GET", "erasures/{erasureId}"),
    }
    assert {
        **{name: (method, route, "function") for name, (method, route) in both.items()},
        # The host asks for no key there: the app itself validates a token.
        **{f"v1_{name}": (method, f"v1/{route}", "anonymous") for name, (method, route) in both.items()},
        **{f"v1_{name}": (method, f"v1/{route}", "anonymous") for name, (method, route) in only_with_token.items()},
        "receive_callback": ("POST", "callbacks", "function"),
        "permit_callbacks": ("OPTIONS", "callbacks", "function"),
        "health": ("GET", "health", "anonymous"),
        "describe": ("GET", "openapi.json", "anonymous"),
        "page": ("GET HEAD", "/", "anonymous"),
        "page_file": ("GET HEAD", "ui/{version}/{file}", "anonymous"),
    } == found


def test_other_triggers_are_the_designs() -> None:
    """What Event Grid, the queue and the timer call is public too: the subscription names it."""
    found = {name: trigger for name, trigger in functions().items() if trigger["type"] != "httpTrigger"}

    assert {
        "receive_event": "eventGridTrigger",
        "take_events": "queueTrigger",
        "ingest_chunk": "queueTrigger",
        "ingest_bulk": "queueTrigger",
        "archive_recording": "queueTrigger",
        "make_export": "queueTrigger",
        "join_recording": "queueTrigger",
        "erase_due_recording": "queueTrigger",
        "hold_recordings": "queueTrigger",
        "archive_recordings": "timerTrigger",
    } == {name: trigger["type"] for name, trigger in found.items()}
    queues = {
        name: (trigger["queueName"], trigger["connection"])
        for name, trigger in found.items()
        if trigger["type"] == "queueTrigger"
    }
    assert {
        "take_events": ("recording-events", "AzureWebJobsStorage"),
        "make_export": ("recording-export", "AzureWebJobsStorage"),
        "ingest_chunk": ("recording-chunks", "AzureWebJobsStorage"),
        "ingest_bulk": ("recording-bulk", "AzureWebJobsStorage"),
        "archive_recording": ("recording-archive", "AzureWebJobsStorage"),
        "join_recording": ("recording-join", "AzureWebJobsStorage"),
        "erase_due_recording": ("recording-erasures", "AzureWebJobsStorage"),
        "hold_recordings": ("recording-holds", "AzureWebJobsStorage"),
    } == queues
    assert {
        "recording-events",
        "recording-chunks",
        "recording-bulk",
        "recording-archive",
        "recording-join",
        "recording-erasures",
        "recording-holds",
    } == {
        backlog.QUEUE,
        job.QUEUE,
        job.BULK_QUEUE,
        job.ARCHIVE_QUEUE,
        job.JOIN_QUEUE,
        job.ERASURE_QUEUE,
        job.HOLDS_QUEUE,
    }
    assert found["archive_recordings"]["schedule"] == "%ARCHIVE_SCHEDULE%"


def host() -> Any:
    """Read host.json."""
    return json.loads((ROOT / "host.json").read_text())


def seconds(text: str) -> int:
    """Read a time span of host.json."""
    hours, minutes, rest = (int(part) for part in text.split(":"))
    return (hours * 60 + minutes) * 60 + rest


def test_host_json_fits_the_design() -> None:
    """Paths are the service's own, and the extensions those that the bindings were written for."""
    found = host()

    assert "" == found["extensions"]["http"]["routePrefix"]
    assert {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"} == found["extensionBundle"]


def test_budgets_end_before_the_host_does() -> None:
    """The host's stroke kills every job of a process: each use case stops itself before."""
    timeout = seconds(host()["functionTimeout"])

    assert max(one.BUDGET_SECONDS for one in (chunk, timer, finish, make)) < timeout


def test_the_timer_waits_for_the_queue() -> None:
    """What attempts.py believes of the queue is what host.json says."""
    queues = host()["extensions"]["queues"]

    assert attempts.QUEUE_TRIES == queues["maxDequeueCount"]
    # The message of a process that died is hidden for ten minutes (docs/functions-host.md#queue); then come more tries.
    tries = attempts.QUEUE_TRIES * seconds(queues["visibilityTimeout"])
    assert attempts.FIRST_RESCUE.total_seconds() >= 10 * 60 + tries
    assert queues["messageEncoding"] == "base64"
    # A job may take all of its time in its last try.
    assert hand_over.AGAIN.total_seconds() >= finish.BUDGET_SECONDS + tries


def known_names() -> set[str]:
    """List the names under which settings.py reads something."""
    return {f"{field.alias}{form}" for field in Settings.model_fields.values() for form in FORMS}


def test_the_example_settings_are_settings() -> None:
    """The example file names only settings that are read, and they are right."""
    example = json.loads((ROOT / "local.settings.example.json").read_text())
    values = example["Values"]

    assert (False, "python") == (example["IsEncrypted"], values.pop("FUNCTIONS_WORKER_RUNTIME"))
    assert "true" == values.pop("AzureWebJobsDisableHomepage")
    assert set(values) <= known_names()
    assert settings.read_settings(values).resource().endpoint == "http://127.0.0.1:8080"
    # A trigger's %NAME% is resolved by the host, which doesn't know our defaults.
    assert "ARCHIVE_SCHEDULE" in values


@pytest.mark.parametrize("name", tables.TABLES)
def test_tables_in_documents_are_those_of_the_code(name: str) -> None:
    """What stands between two marks is what `python -m tests.support.tables` writes there."""
    document, table = tables.TABLES[name]
    assert tables.written(document, name) == table()


def test_what_is_needed_in_azure_is_named() -> None:
    """Every library that the app imports is declared, and so in requirements.txt, or comes with one that is."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    required = {re.split(r"[^a-z-]", one)[0] for one in dependencies}
    # yarl is aiohttp's own URL type; jwt is the module of pyjwt.
    named = {"azure", "yarl", *(["jwt"] if "pyjwt" in required else []), *(name.split("-")[0] for name in required)}
    used = {one.split(".")[0] for path in sources("recording").values() for one in imports(path)}

    assert used - set(sys.stdlib_module_names) - {"recording"} <= named
