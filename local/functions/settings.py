"""What the host reads before it starts: app settings and host.json."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.functions.errors import StartError

_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")
_EXPRESSION = re.compile(r"%([^%]+)%")
_OVERRIDE = "AzureFunctionsJobHost__"


@dataclass(frozen=True)
class QueueSettings:
    """`extensions.queues` of host.json, with the defaults of docs/functions-host.md#queue; times are in seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    maximum_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    maximum_polling_interval: float = 2.0
    base64: bool = True


@dataclass(frozen=True)
class HostSettings:
    """host.json; `function_timeout` is in seconds, None for no limit."""

    route_prefix: str = "api"
    function_timeout: float | None = 1800.0
    queues: QueueSettings = QueueSettings()


def read_values(path: Path) -> dict[str, str]:
    """Read `Values` of a local.settings.json; a missing file has none."""
    if not path.exists():
        return {}
    values = _read_object(path).get("Values", {})
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise StartError(f"{path.name}: Values must be an object of strings")
    return values


def read_host_json(path: Path, settings: Mapping[str, str] | None = None) -> HostSettings:
    """Read host.json; what it omits has the host's default.

    A setting such as `AzureFunctionsJobHost__extensions__queues__batchSize` overrides the file, as in Azure.
    """
    content: dict[str, Any] = _read_object(path) if path.exists() else {"version": "2.0"}
    for name, value in (settings or {}).items():
        if name.startswith(_OVERRIDE):
            _put(content, name.removeprefix(_OVERRIDE).split("__"), value)
    if content.get("version") != "2.0":
        raise StartError(f'{path.name}: version must be "2.0"')
    extensions: dict[str, Any] = content.get("extensions", {})
    defaults = HostSettings()
    timeout = content.get("functionTimeout")
    return HostSettings(
        route_prefix=extensions.get("http", {}).get("routePrefix", defaults.route_prefix).strip("/"),
        function_timeout=defaults.function_timeout if timeout is None else _limit(timeout),
        queues=_queue_settings(extensions.get("queues", {})),
    )


def resolve(text: str, settings: Mapping[str, str]) -> str:
    """Replace each `%NAME%` by its setting; raises StartError for one that isn't set."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in settings:
            raise StartError(f"The setting {match[1]} isn't set; {text!r} needs it")
        return settings[match[1]]

    return _EXPRESSION.sub(value, text)


def parse_span(text: str) -> float:
    """Convert `hh:mm:ss` or `d.hh:mm:ss` to seconds."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise StartError(f"{text!r} isn't a time span such as 00:05:00")
    days, hours, minutes, seconds = (float(group or 0) for group in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()


def _limit(text: str) -> float | None:
    return None if text == "-1" else parse_span(text)


def _queue_settings(content: Mapping[str, Any]) -> QueueSettings:
    defaults = QueueSettings()
    batch_size = int(content.get("batchSize", defaults.batch_size))
    if not 1 <= batch_size <= 32:
        raise StartError(f"host.json: extensions.queues.batchSize is {batch_size}; it must be 1 to 32")
    encoding = content.get("messageEncoding", "base64").lower()
    if encoding not in ("base64", "none"):
        raise StartError(f"host.json: extensions.queues.messageEncoding is {encoding!r}; it must be base64 or none")
    polling = content.get("maxPollingInterval")
    return QueueSettings(
        batch_size=batch_size,
        # The real default is multiplied by the number of processors; dynamic plans count one
        # (docs/functions-host.md#queue).
        new_batch_threshold=int(content.get("newBatchThreshold", batch_size // 2)),
        maximum_dequeue_count=int(content.get("maxDequeueCount", defaults.maximum_dequeue_count)),
        visibility_timeout=parse_span(content.get("visibilityTimeout", "00:00:00")),
        # This host always runs as Development, where the extension sets 2 seconds.
        maximum_polling_interval=min(parse_span(polling or "00:01:00"), defaults.maximum_polling_interval),
        base64=encoding == "base64",
    )


def _put(content: dict[str, Any], path: Sequence[str], value: str) -> None:
    for name in path[:-1]:
        inner = content.setdefault(name, {})
        if not isinstance(inner, dict):
            raise StartError(f"{_OVERRIDE}{'__'.join(path)}: {name} isn't an object in host.json")
        content = inner
    content[path[-1]] = value


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise StartError(f"{path.name} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise StartError(f"{path.name} must contain a JSON object")
    return content
