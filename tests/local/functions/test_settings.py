"""The host reads host.json, the settings file, and settings in expressions."""

import json
from pathlib import Path

import pytest

from local.functions.errors import StartError
from local.functions.settings import HostSettings, QueueSettings, parse_span, read_host_json, read_values, resolve


def test_defaults(tmp_path: Path) -> None:
    """Without a host.json the host's own defaults hold."""

    assert HostSettings(route_prefix="api", function_timeout=1800.0) == read_host_json(tmp_path / "host.json")


def test_host_json(tmp_path: Path) -> None:
    """Route prefix, time-out and queue settings are read from host.json."""
    queues = {
        "batchSize": 8,
        "newBatchThreshold": 1,
        "maxDequeueCount": 2,
        "visibilityTimeout": "00:00:30",
        "maxPollingInterval": "00:00:01",
        "messageEncoding": "none",
    }
    content = {
        "version": "2.0",
        "functionTimeout": "1.00:10:00",
        "extensions": {"http": {"routePrefix": ""}, "queues": queues},
    }
    path = tmp_path / "host.json"
    path.write_text(json.dumps(content))
    expected = HostSettings(
        route_prefix="", function_timeout=87_000.0, queues=QueueSettings(8, 1, 2, 30.0, 1.0, base64=False)
    )

    assert expected == read_host_json(path)


def test_override(tmp_path: Path) -> None:
    """A setting that names a place in host.json goes over the file, and over the defaults."""
    path = tmp_path / "host.json"
    path.write_text(json.dumps({"version": "2.0", "extensions": {"queues": {"batchSize": 8}}}))
    settings = {
        "AzureFunctionsJobHost__extensions__queues__batchSize": "24",
        "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:02",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
        "OTHER": "x",
    }

    found = read_host_json(path, settings)
    assert (found.queues.batch_size, found.queues.visibility_timeout, found.route_prefix) == (24, 2.0, "")
    assert found.queues.new_batch_threshold == 12


def test_override_of_a_value(tmp_path: Path) -> None:
    """A setting that goes through something that isn't an object is refused, by name."""
    path = tmp_path / "host.json"
    path.write_text(json.dumps({"version": "2.0", "functionTimeout": "-1"}))

    with pytest.raises(StartError, match="functionTimeout isn't an object"):
        read_host_json(path, {"AzureFunctionsJobHost__functionTimeout__x": "1"})


def test_no_timeout(tmp_path: Path) -> None:
    """A functionTimeout of -1 means none."""
    path = tmp_path / "host.json"
    path.write_text('{"version": "2.0", "functionTimeout": "-1"}')

    assert read_host_json(path).function_timeout is None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "{}",
        '{"version": "2.0", "functionTimeout": "soon"}',
        '{"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}',
        '{"version": "2.0", "extensions": {"queues": {"messageEncoding": "rot13"}}}',
    ],
)
def test_bad_host_json(tmp_path: Path, text: str) -> None:
    """A host.json that the host wouldn't take keeps it from starting."""
    path = tmp_path / "host.json"
    path.write_text(text)

    with pytest.raises(StartError):
        read_host_json(path)


def test_values(tmp_path: Path) -> None:
    """The settings file gives its `Values`; a missing one has none."""
    path = tmp_path / "local.settings.json"
    path.write_text('{"IsEncrypted": false, "Values": {"A": "1"}}')

    assert read_values(path) == {"A": "1"}
    assert read_values(tmp_path / "missing.json") == {}


def test_resolve() -> None:
    """`%NAME%` is replaced by the setting; one that isn't set is named."""

    assert resolve("a-%QUEUE%-b", {"QUEUE": "jobs"}) == "a-jobs-b"
    with pytest.raises(StartError, match="MISSING"):
        resolve("%MISSING%", {})


def test_span() -> None:
    """A time span is hours, minutes and seconds, with days before a dot."""

    assert parse_span("1.01:01:01") == 86_400 + 3_600 + 61
