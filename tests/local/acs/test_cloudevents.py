"""Tests of the callbacks of the Call Automation API: what they say."""

import json
import re
from typing import Any

import pytest

from .client import Client, eventually
from .conftest import Inbox

NEWEST = "2026-03-12"


async def _start(client: Client, inbox: Inbox, server_call_id: str, *, version: str = NEWEST) -> Any:
    locator = {"kind": "serverCallLocator", "serverCallId": server_call_id}
    body = json.dumps({"callLocator": locator, "recordingStateCallbackUri": inbox.url}).encode()
    return (await client.api("POST", "/calling/recordings", body=body, version=version)).json


async def _received(inbox: Inbox, count: int) -> list[Any]:
    async def enough() -> Any:
        return len(inbox.received) >= count and inbox.received

    received: list[Any] = await eventually(enough)
    assert len(received) == count
    return received


async def test_recording_changed(client: Client, inbox: Inbox) -> None:
    """A callback is an array with one CloudEvent, field by field as captured."""
    call = await client.call()
    recording_id = (await _start(client, inbox, call["serverCallId"]))["recordingId"]
    [[event]] = await _received(inbox, 1)

    place = f"calling/recordings/{call['serverCallId']}/{recording_id}/RecordingStateChanged"
    guid, time = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}\+00:00"
    assert re.fullmatch(guid, event.pop("id"))
    assert re.fullmatch(time, event.pop("time"))
    assert re.fullmatch(time, event["data"].pop("startDateTime"))
    assert re.fullmatch(guid, event["data"].pop("callConnectionId"))
    assert event == {
        "source": place,
        "type": "Microsoft.Communication.RecordingStateChanged",
        "data": {
            "recordingId": recording_id,
            "state": "active",
            "recordingKind": "azureCommunicationServices",
            "resultInformation": {"code": 200, "subCode": 0, "message": ""},
            "version": NEWEST,
            "serverCallId": call["serverCallId"],
            "correlationId": call["correlationId"],
            "publicEventType": "Microsoft.Communication.RecordingStateChanged",
        },
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": place,
    }


async def test_recorder_leg(client: Client, inbox: Inbox) -> None:
    """The connection in a callback is the recorder's own, not that of the app."""
    call = await client.call()
    await _start(client, inbox, call["serverCallId"])
    [[event]] = await _received(inbox, 1)

    assert event["data"]["callConnectionId"] != call["callLegId"]


async def test_every_change(client: Client, inbox: Inbox) -> None:
    """Start, pause, resume and stop are sent in order; what changes nothing is not sent."""
    call = await client.call()
    one = f"/calling/recordings/{(await _start(client, inbox, call['serverCallId']))['recordingId']}"
    for method, step in (("POST", ":pause"), ("POST", ":pause"), ("POST", ":resume"), ("DELETE", "")):
        await client.api(method, one + step, version=NEWEST)
    received = await _received(inbox, 4)

    assert ["active", "inactive", "active", "inactive"] == [body[0]["data"]["state"] for body in received]
    assert len({body[0]["id"] for body in received}) == 4


@pytest.mark.parametrize(
    ("version", "absent"),
    [("2023-03-06", {"recordingKind", "resultInformation"}), ("2024-04-15", {"resultInformation"}), (NEWEST, set())],
)
async def test_versions(client: Client, inbox: Inbox, version: str, absent: set[str]) -> None:
    """A callback has the fields of the version that the recording was started with."""
    await _start(client, inbox, (await client.call())["serverCallId"], version=version)
    [[event]] = await _received(inbox, 1)

    assert version == event["data"]["version"]
    assert absent == {"recordingKind", "resultInformation"} - set(event["data"])


@pytest.mark.parametrize(("running", "code", "sub_code"), [(False, 400, 8527), (True, 409, 0)])
async def test_start_failed(client: Client, inbox: Inbox, running: bool, code: int, sub_code: int) -> None:
    """An accepted start that fails later is reported, with the reason and the id that was answered."""
    await client.control("PUT", "/settings", {"startAccepted": True})
    call = await client.call()
    if running:
        await client.start(call["conversationId"])
    server_call_id = call["serverCallId"] if running else "x"
    started = await _start(client, inbox, server_call_id)
    [[event]] = await _received(inbox, 1)

    assert event["type"] == event["data"]["publicEventType"] == "Microsoft.Communication.StartRecordingFailed"
    assert started["recordingId"] == event["data"]["recordingId"]
    result = event["data"]["resultInformation"]
    assert (code, sub_code) == (result["code"], result["subCode"])
    assert (call["serverCallId"] if running else "") == event["data"]["serverCallId"]


async def test_other_callbacks(client: Client, inbox: Inbox) -> None:
    """Callbacks of call legs stay what they are: one object without a signature."""
    await client.call(callbackUri=inbox.url)
    received = await _received(inbox, 2)

    assert ["Establishing", "Established"] == [body["data"]["CallState"] for body in received]
    assert inbox.authorizations == [None, None]
