"""The operations of the recording API, called with one conversation and one recording."""

from collections.abc import Awaitable, Callable
from typing import Any

from recording.acs.call_automation import CallAutomation
from recording.acs.preview_2021 import Preview2021

CONVERSATION = "aHR0cHM6Ly9jb252LXRlc3QvY29udi94P2k9MSZlPTI"
RECORDING = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3ZjQy"
VERSION = "?api-version=2021-04-15-preview1"
ONE = f"/conversations/{CONVERSATION}/recordings/{RECORDING}"
JSON = {"Content-Type": "application/json; charset=utf-8"}

Client = Preview2021 | CallAutomation
Call = Callable[[Client], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "start": lambda service: service.start(CONVERSATION, callback_uri="https://app.contoso.com/cb"),
    "state": lambda service: service.state(CONVERSATION, RECORDING),
    "stop": lambda service: service.stop(CONVERSATION, RECORDING),
    "pause": lambda service: service.pause(CONVERSATION, RECORDING),
    "resume": lambda service: service.resume(CONVERSATION, RECORDING),
}
