"""Tests of the options of a start with the Call Automation API."""

import json
from typing import Any

import pytest

from local.acs import start
from local.acs.entities import Format
from local.acs.errors import BadRequest

NEWEST = "2026-03-12"
CALL = {"callLocator": {"kind": "serverCallLocator", "serverCallId": "x"}}


def _read(body: dict[str, Any], *, version: str = NEWEST) -> start.Start:
    return start.read(json.dumps(body).encode(), version=version)


def _refusal(body: dict[str, Any], *, version: str = NEWEST) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        _read(body, version=version)
    return caught.value


def _ada(raw_id: str = "8:acs:ada") -> dict[str, Any]:
    return {"rawId": raw_id, "communicationUser": {"id": raw_id}}


def test_captured_body() -> None:
    """The body that the SDK sends is understood in full (docs/acs-contract.md#start-request)."""
    body = {
        **CALL,
        "recordingStateCallbackUri": "https://x/y",
        "recordingContentType": "audio",
        "recordingChannelType": "unmixed",
        "recordingFormatType": "wav",
        "channelAffinity": [{"channel": 2, "participant": _ada()}],
        "audioChannelParticipantOrdering": [],
        "pauseOnStart": True,
        "externalStorage": {
            "recordingStorageKind": "azureBlobStorage",
            "recordingDestinationContainerUrl": "https://a.blob.core.windows.net/c",
        },
    }
    wanted = Format("audio", "unmixed", "wav", ("", "", "8:acs:ada"), "https://a.blob.core.windows.net/c")

    assert _read(body) == start.Start("serverCall", "x", "https://x/y", wanted, paused=True)


def test_least_body() -> None:
    """Only the locator is needed; nulls and empty lists say nothing, and unknown fields are ignored."""
    nothing = dict.fromkeys(
        ("callConnectionId", "recordingStateCallbackUri", "recordingContentType", "externalStorage", "pauseOnStart")
    )
    wanted = start.Start("serverCall", "x", None, Format(), paused=False)

    assert _read(CALL) == wanted
    assert _read({**CALL, **nothing, "channelAffinity": [], "operationContext": "a"}) == wanted


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ((None, None, "mp3"), ("audio", "mixed", "mp3")),
        ((None, None, "wav"), ("audio", "mixed", "wav")),
        (("audio", None, None), ("audio", "mixed", "mp3")),
        ((None, "unmixed", None), ("audio", "unmixed", "wav")),
        (("AudioVideo", "Mixed", "MP4"), ("audioVideo", "mixed", "mp4")),
        (("AUDIO", "unMixed", "Wav"), ("audio", "unmixed", "wav")),
    ],
)
def test_formats(asked: tuple[str | None, ...], made: tuple[str, ...]) -> None:
    """Enumerations are accepted in any case, and what is omitted is chosen so that it fits."""
    names = ("recordingContentType", "recordingChannelType", "recordingFormatType")
    found = _read({**CALL, **dict(zip(names, asked, strict=True))}).format

    assert made == (found.content_type, found.channel_type, found.format_type)


@pytest.mark.parametrize(
    "asked",
    [
        ("audio", "mixed", "mp4"),
        ("audio", None, "mp4"),
        ("audioVideo", "mixed", "mp3"),
        ("audioVideo", None, "wav"),
        ("audioVideo", "unmixed", None),
        ("audio", "unmixed", "mp3"),
        (None, "unmixed", "mp4"),
    ],
)
def test_unsupported_formats(asked: tuple[str | None, ...]) -> None:
    """What the service has no format for is refused, with what there is instead."""
    names = ("recordingContentType", "recordingChannelType", "recordingFormatType")
    error = _refusal({**CALL, **dict(zip(names, asked, strict=True))})

    assert error.target == "recordingFormatType"
    assert "is not supported: audioVideo is mixed mp4" in error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recordingContentType", "video"),
        ("recordingContentType", 1),
        ("recordingChannelType", ""),
        ("recordingFormatType", "ogg"),
        ("pauseOnStart", "true"),
        ("callLocator", "x"),
        ("externalStorage", {"recordingStorageKind": "s3"}),
        ("channelAffinity", [{"channel": 5, "participant": _ada()}]),
        ("channelAffinity", [{"channel": -1, "participant": _ada()}]),
        ("channelAffinity", [{"channel": "0", "participant": _ada()}]),
        ("channelAffinity", [{"channel": 0}]),
        ("channelAffinity", [{"participant": _ada()}]),
        ("audioChannelParticipantOrdering", [{"rawId": ""}]),
    ],
)
def test_bad_fields(field: str, value: Any) -> None:
    """A field that is malformed is named."""
    assert str(_refusal({**CALL, field: value}).target).startswith(field)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"channelAffinity": [{"channel": 0, "participant": {}}]}, "A participant needs a rawId."),
        (
            {"channelAffinity": [{"channel": 0, "participant": _ada("a")}, {"channel": 0, "participant": _ada("b")}]},
            "A channel is assigned twice.",
        ),
        (
            {"channelAffinity": [{"channel": 0, "participant": _ada()}, {"channel": 1, "participant": _ada()}]},
            "A participant is assigned two channels.",
        ),
        ({"audioChannelParticipantOrdering": [_ada(), _ada()]}, "A participant is assigned two channels."),
        (
            {"audioChannelParticipantOrdering": [_ada(str(number)) for number in range(6)]},
            "An unmixed recording has at most 5 channels.",
        ),
        (
            {
                "audioChannelParticipantOrdering": [_ada("a")],
                "channelAffinity": [{"channel": 0, "participant": _ada("b")}],
            },
            "Channels must be given either by ordering or by affinity.",
        ),
    ],
)
def test_bad_channels(more: dict[str, Any], reason: str) -> None:
    """Channels that contradict each other are refused with the reason."""
    assert reason == _refusal({**CALL, "recordingChannelType": "unmixed", **more}).message


def test_ordering() -> None:
    """The order of participants is that of the channels; an ACS user without a raw id will do."""
    body = {"audioChannelParticipantOrdering": [{"communicationUser": {"id": "a"}}, _ada("b")]}
    found = _read({**CALL, "recordingChannelType": "unmixed", **body})

    assert found.format.channels == ("a", "b")


@pytest.mark.parametrize(
    "more",
    [
        {"audioChannelParticipantOrdering": [_ada()]},
        {"channelAffinity": [{"channel": 0, "participant": _ada()}]},
    ],
)
def test_channels_of_mixed(more: dict[str, Any]) -> None:
    """Only an unmixed recording has channels to give away."""
    assert _refusal({**CALL, "recordingChannelType": "mixed", **more}).target == "recordingChannelType"


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({}, "callLocator"),
        ({"callLocator": None}, "callLocator"),
        ({"callLocator": {"serverCallId": "x"}}, "callLocator.kind"),
        ({"callLocator": {"kind": "serverCallLocator"}}, "callLocator"),
        ({"callLocator": {"kind": "serverCallLocator", "groupCallId": "x"}}, "callLocator"),
        ({"callLocator": {"kind": "groupCallLocator", "groupCallId": ""}}, "callLocator"),
        ({"callLocator": {"kind": "teamsLocator", "id": "x"}}, "callLocator.kind"),
        ({**CALL, "callConnectionId": "x"}, "callLocator"),
    ],
)
def test_bad_locator(body: dict[str, Any], target: str) -> None:
    """A start names exactly one call, in one way."""
    assert target == _refusal(body).target


@pytest.mark.parametrize(
    ("body", "since", "before"),
    [
        ({"callConnectionId": "x"}, "2025-06-15", "2025-05-15"),
        ({"callLocator": {"kind": "roomCallLocator", "roomId": "x"}}, "2024-09-15", "2024-04-15"),
        ({**CALL, "pauseOnStart": False}, "2024-04-15", "2023-10-15"),
        (
            {**CALL, "externalStorage": {"recordingStorageKind": "AzureCommunicationServices"}},
            "2024-04-15",
            "2023-03-06",
        ),
    ],
)
def test_since(body: dict[str, Any], since: str, before: str) -> None:
    """What came with a later version is refused in an earlier one."""
    _read(body, version=since)

    assert _refusal(body, version=before)


@pytest.mark.parametrize("uri", ["/not/absolute/url", "x", "", "ftp://a/b", "https://"])
def test_relative_callback(uri: str) -> None:
    """A callback URI that is not absolute is refused without a word, as captured.

    See docs/acs-contract.md#preview-errors.
    """
    error = _refusal({**CALL, "recordingStateCallbackUri": uri})

    assert ("BadRequest", "", None) == (error.code, error.message, error.target)


@pytest.mark.parametrize(
    ("uri", "taken"),
    [
        ("https://contoso.example/in?code=x", True),
        ("http://127.0.0.1:7071/in", True),
        ("http://localhost/in", True),
        ("http://[::1]:7071/in", True),
        ("http://contoso.example/in", False),
        ("http://127.0.0.1.contoso.example/in", False),
    ],
)
def test_plain_http_callback(uri: str, taken: bool) -> None:
    """A callback over plain http is only for this machine."""
    body = {**CALL, "recordingStateCallbackUri": uri}

    if taken:
        assert _read(body).callback_uri == uri
    else:
        assert _refusal(body).message == "The field CallbackUri is invalid."


@pytest.mark.parametrize("url", [None, "", "c", "https://a.blob.core.windows.net/", "http://a.example/c"])
def test_bad_destination(url: str | None) -> None:
    """Files go into a container that https leads to, or they do not go."""
    storage = {"recordingStorageKind": "AzureBlobStorage", "recordingDestinationContainerUrl": url}
    error = _refusal({**CALL, "externalStorage": storage})

    assert error.target == "externalStorage.recordingDestinationContainerUrl"


def test_own_storage() -> None:
    """The service's own storage can be asked for by name."""
    found = _read({**CALL, "externalStorage": {"recordingStorageKind": "AZURECOMMUNICATIONSERVICES"}})

    assert found.format.destination is None
