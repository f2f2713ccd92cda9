"""The forms in which one event may come (docs/acs-contract.md#forms-of-an-event): body and headers of a request."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from tests.support.samples import as_cloud_event

BOM = "\ufeff"
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
BATCHED = {"Content-Type": "application/cloudevents-batch+json; charset=UTF-8"}

Request = tuple[bytes, Mapping[str, str]]


def base64_of(value: Any) -> str:
    """Encode a JSON value as binary data."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def binary(event: dict[str, Any], **headers: str) -> Request:
    """Send an event in binary mode: its attributes are headers, its body is the data."""
    attributes = {f"ce-{name}": quote(str(value), safe="/:+") for name, value in event.items() if name != "data"}
    return json.dumps(event["data"]).encode(), {"Content-Type": "application/json", **attributes, **headers}


def structured(event: dict[str, Any], **headers: str) -> Request:
    """Send an event in structured mode."""
    return json.dumps(event).encode(), STRUCTURED | headers


def with_data(event: dict[str, Any], **data: Any) -> dict[str, Any]:
    """Write the data of an event in another form."""
    return {name: value for name, value in event.items() if name != "data"} | data


FORMS: dict[str, Callable[[dict[str, Any]], Request]] = {
    "Event Grid schema": lambda event: (json.dumps(event).encode(), {"Content-Type": "application/json"}),
    "Event Grid schema, array": lambda event: (json.dumps([event]).encode(), {}),
    "structured": lambda event: structured(as_cloud_event(event)),
    "structured, without a content type": lambda event: (json.dumps(as_cloud_event(event)).encode(), {}),
    "structured, with the headers of binary mode": lambda event: structured(
        as_cloud_event(event), **{"ce-type": "another", "ce-id": "another"}
    ),
    "batched": lambda event: (json.dumps([as_cloud_event(event)]).encode(), BATCHED),
    "binary": lambda event: binary(as_cloud_event(event)),
    "binary, names in capitals": lambda event: (
        binary(as_cloud_event(event))[0],
        {name.upper(): value for name, value in binary(as_cloud_event(event))[1].items()},
    ),
    "binary, labelled structured": lambda event: binary(as_cloud_event(event), **STRUCTURED),
    "binary, quoted": lambda event: binary(
        as_cloud_event(event), **{"ce-subject": '"' + event["subject"].replace("/", "\\/") + '"'}
    ),
    "binary, without the headers that are required": lambda event: (
        binary(as_cloud_event(event))[0],
        {
            name: value
            for name, value in binary(as_cloud_event(event))[1].items()
            if name not in ("ce-source", "ce-specversion")
        },
    ),
    "data as a JSON string": lambda event: structured(with_data(as_cloud_event(event), data=json.dumps(event["data"]))),
    "data as a JSON string, Event Grid schema": lambda event: (
        json.dumps(event | {"data": json.dumps(event["data"])}).encode(),
        {},
    ),
    "data as a JSON string in a JSON string": lambda event: structured(
        with_data(as_cloud_event(event), data=json.dumps(BOM + json.dumps(event["data"])))
    ),
    "data_base64": lambda event: structured(with_data(as_cloud_event(event), data_base64=base64_of(event["data"]))),
    "data_base64 beside data that is null": lambda event: structured(
        with_data(as_cloud_event(event), data=None, data_base64=base64_of(event["data"]))
    ),
    "data_base64, URL-safe and unpadded": lambda event: structured(
        with_data(
            as_cloud_event(event),
            data_base64=base64_of(event["data"]).replace("+", "-").replace("/", "_").rstrip("="),
        )
    ),
    "data_base64 with a byte-order mark": lambda event: structured(
        with_data(
            as_cloud_event(event),
            data_base64=base64.b64encode((BOM + json.dumps(event["data"])).encode()).decode(),
        )
    ),
    "data_base64 of UTF-16": lambda event: structured(
        with_data(
            as_cloud_event(event), data_base64=base64.b64encode(json.dumps(event["data"]).encode("utf-16")).decode()
        )
    ),
    "byte-order mark": lambda event: ((BOM + json.dumps(event)).encode(), {}),
    "byte-order mark, batched": lambda event: ((BOM + json.dumps([as_cloud_event(event)])).encode(), BATCHED),
    "byte-order mark, binary": lambda event: (
        BOM.encode() + binary(as_cloud_event(event))[0],
        binary(as_cloud_event(event))[1],
    ),
    "UTF-16": lambda event: (json.dumps(event).encode("utf-16"), {}),
    "the whole event as a JSON string": lambda event: (json.dumps(json.dumps(event)).encode(), {}),
    "names in capitals": lambda event: (
        json.dumps({name.upper(): value for name, value in event.items()}).encode(),
        {},
    ),
    "a null beside a name in another case": lambda event: (json.dumps(event | {"Data": None}).encode(), {}),
}
