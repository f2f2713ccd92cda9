"""Tests of the signature verifier."""

from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from azure.communication.callautomation._shared.policy import HMACCredentialsPolicy
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest

from local.acs.auth import (
    SignedRequest,
    Verifier,
    candidate_hosts,
    content_hash,
    sign,
    storage_candidate_hosts,
    string_to_sign,
)
from local.acs.server import Emulator, Options

from .client import Client, signed_headers

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
DATE = "Wed, 14 Apr 2021 16:32:34 GMT"
NOW = datetime(2021, 4, 14, 16, 32, 40, tzinfo=UTC)
HOST = "contoso.communication.azure.com"
EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
VECTORS = [
    (
        "GET",
        "/recording/download/0-wus-d1-0123?api-version=2021-04-15-preview1",
        b"",
        EMPTY,
        "eXm8eZ9cjCw4O0z/A3UKDxwTxywQrkd4RNdGxP+1m2I=",
    ),
    (
        "POST",
        "/calling/recordings?api-version=2024-09-15",
        b'{"recordingStateCallbackUri":"https://app.contoso.com/cb"}',
        "0+J0uz9N3a7C690XvOk+3un/Rvmo4PJ6QQKZgHNfKQM=",
        "TblUsE0XH8sutpZR7vyBLtHv6isTqb6l2Iq6Va1hzBY=",
    ),
    (
        "GET",
        "/v1/objects/0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8/content/video",
        b"",
        EMPTY,
        "I+/w0hudtxpCXf1W/hda6WvrVdkICZlmuPEs+ShV6PA=",
    ),
    (
        "POST",
        "/calling/recordings/eyJhIjoxfQ%3D%3D:pause?api-version=2024-09-15",
        b"",
        EMPTY,
        "IrUc5f1eUvc/ZNGQvCo0DfXeYToPmITivsAXqOFyB4M=",
    ),
]


def _headers(signature: str, *, body_hash: str = EMPTY, name: str = "x-ms-date", date: str = DATE) -> dict[str, str]:
    return {
        name: date,
        "x-ms-content-sha256": body_hash,
        "Authorization": f"HMAC-SHA256 SignedHeaders={name};host;x-ms-content-sha256&Signature={signature}",
    }


@pytest.mark.parametrize(("method", "path", "body", "body_hash", "signature"), VECTORS)
def test_vectors(method: str, path: str, body: bytes, body_hash: str, signature: str) -> None:
    """The four published test vectors give the published hash and signature."""
    text = string_to_sign(method, path, date=DATE, host=HOST, body_hash=content_hash(body))

    assert (body_hash, signature) == (content_hash(body), sign(KEY, text))


@pytest.mark.parametrize("date_header", ["x-ms-date", "Date"])
@pytest.mark.parametrize(("method", "path", "body", "body_hash", "signature"), VECTORS)
def test_accepts(method: str, path: str, body: bytes, body_hash: str, signature: str, date_header: str) -> None:
    """A vector is accepted with the date in either header."""
    request = SignedRequest(method, path, _headers(signature, body_hash=body_hash, name=date_header), body)

    assert Verifier(KEY, HOST).refusal(request, now=NOW) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Authorization": ""}, "the Authorization header is missing or is not the HMAC-SHA256 scheme"),
        ({"Authorization": "Bearer abc"}, "the Authorization header is missing or is not the HMAC-SHA256 scheme"),
        ({"x-ms-date": ""}, "the signed date is missing, malformed or outside the allowed clock skew"),
        ({"x-ms-date": "yesterday"}, "the signed date is missing, malformed or outside the allowed clock skew"),
        ({"x-ms-content-sha256": "AAAA"}, "x-ms-content-sha256 is not the hash of the body"),
        ({"x-ms-date": "Wed, 14 Apr 2021 16:32:35 GMT"}, "the signature does not match"),
    ],
)
def test_refuses(change: dict[str, str], reason: str) -> None:
    """A request with one header missing or changed is refused."""
    method, path, body, body_hash, signature = VECTORS[0]
    request = SignedRequest(method, path, _headers(signature, body_hash=body_hash) | change, body)

    assert reason == Verifier(KEY, HOST).refusal(request, now=NOW)


@pytest.mark.parametrize(("minutes", "accepted"), [(-14, True), (14, True), (-16, False), (16, False)])
def test_skew(minutes: int, accepted: bool) -> None:
    """A date more than fifteen minutes off, either way, is refused."""
    method, path, body, body_hash, signature = VECTORS[0]
    request = SignedRequest(method, path, _headers(signature, body_hash=body_hash), body)

    assert accepted == (Verifier(KEY, HOST).refusal(request, now=NOW + timedelta(minutes=minutes)) is None)


def test_unsigned_body() -> None:
    """A body that was changed after signing is refused."""
    method, path, body, body_hash, signature = VECTORS[1]
    request = SignedRequest(method, path, _headers(signature, body_hash=body_hash), body + b" ")

    assert Verifier(KEY, HOST).refusal(request, now=NOW) == "x-ms-content-sha256 is not the hash of the body"


def test_candidate_hosts() -> None:
    """Each host name is tried with and without port, in the documented order, none twice."""
    headers = {"x-ms-host": "contoso.example", "Host": "127.0.0.1:9001"}

    assert candidate_hosts("127.0.0.1:9001", headers) == [
        "127.0.0.1:9001",
        "127.0.0.1",
        "contoso.example",
        "contoso.example:9001",
    ]


@pytest.mark.parametrize(
    ("headers", "candidates"),
    [
        ({}, []),
        ({"Host": "127.0.0.1:9002"}, []),
        ({"x-ms-host": "127.0.0.1:9002", "Host": "127.0.0.1:9002"}, []),
        ({"x-ms-host": "contoso.example"}, []),
        ({"x-ms-host": "127.0.0.1"}, ["127.0.0.1:9001", "127.0.0.1"]),
        ({"x-ms-host": "127.0.0.1:9001"}, ["127.0.0.1:9001", "127.0.0.1"]),
        ({"x-ms-host": "localhost"}, ["localhost:9001", "localhost"]),
        ({"X-Forwarded-Host": "127.0.0.1:9001"}, ["127.0.0.1:9001", "127.0.0.1"]),
        ({"Host": "127.0.0.1:9001"}, ["127.0.0.1:9001", "127.0.0.1"]),
    ],
)
def test_storage_candidate_hosts(headers: dict[str, str], candidates: list[str]) -> None:
    """A request to the storage host must name the resource; the storage host's own name is never signed with."""
    assert candidates == storage_candidate_hosts("127.0.0.1:9001", headers)


def test_key_must_be_base64() -> None:
    """A key that is not base64 is refused when the verifier is made."""
    with pytest.raises(ValueError, match="not base64"):
        Verifier("not base64!", HOST)


@pytest.mark.parametrize("date_header", ["x-ms-date", "Date"])
async def test_over_http(client: Client, date_header: str) -> None:
    """The server accepts both date headers and answers a wrong key with the bare 401."""
    target = "/conversations/none/recordings/none?api-version=2021-04-15-preview1"
    host = client.endpoint.removeprefix("http://")
    good = signed_headers("GET", target, host=host, key=client.key, date_header=date_header)
    bad = signed_headers("GET", target, host=host, key=KEY, date_header=date_header)

    assert (await client.raw("GET", target, headers=good)).status == 404
    refused = await client.raw("GET", target, headers=bad)
    body: dict[str, Any] = {"code": "401", "message": "HMAC-SHA256 validation failed", "target": None, "details": []}
    assert (401, body) == (refused.status, refused.json)


async def test_storage_over_http(client: Client, emulator: Emulator) -> None:
    """Both storage hosts take a signature with the resource's name, and answer any other with an empty 401."""
    document = "/v1/objects/0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8"
    resource = client.endpoint.removeprefix("http://")
    for place in (emulator.storage_url, emulator.region_url):
        own = place.removeprefix("http://")
        seen = []
        for signed, named in ((resource, resource), (resource, "127.0.0.1"), (own, own), (own, resource)):
            headers = signed_headers("DELETE", document, host=signed, key=client.key) | {"x-ms-host": named}
            async with client.session.delete(place + document, headers=headers) as response:
                seen.append((response.status, await response.read(), "Content-Type" in response.headers))

        assert [(404, b"", False), (404, b"", False), (401, b"", False), (401, b"", False)] == seen


async def test_real_time(client: Client) -> None:
    """Signatures are checked against real time, however far the emulator's clock was moved."""
    await client.advance(86400)

    assert (await client.api("GET", "/conversations/none/recordings/none")).status == 404


async def test_official_policy() -> None:
    """The signature that the official SDK's policy makes is accepted."""
    async with Emulator(Options(access_key=KEY)) as emulator, aiohttp.ClientSession() as session:
        target = "/conversations/none/recordings?api-version=2021-04-15-preview1"
        request = HttpRequest("POST", emulator.endpoint + target, content="{}")
        pipeline = PipelineRequest(request, PipelineContext(None))
        HMACCredentialsPolicy(emulator.endpoint, KEY).on_request(pipeline)
        headers = dict(request.headers)
        async with session.post(emulator.endpoint + target, data=b"{}", headers=headers) as response:
            assert response.status == 404
