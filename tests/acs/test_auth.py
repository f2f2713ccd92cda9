"""recording/acs/auth.py: HMAC-SHA256 and Entra ID."""

from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.rest import HttpRequest

from recording.acs.auth import SCOPE, HmacPolicy, auth_policy, sign
from recording.config.resource import Resource
from recording.errors import Misconfigured
from tests.support.origin import KEY

DATE = "Wed, 14 Apr 2021 16:32:34 GMT"
HOST = "contoso.communication.azure.com"
ENDPOINT = f"https://{HOST}"
EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
STORAGE_URL = "https://storage.asm.skype.com/v1/objects/0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8/content/video"
BODY = b'{"recordingStateCallbackUri":"https://app.contoso.com/cb"}'


class Credential:
    """An identity that gives a token and remembers for what."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Return a token."""
        self.scopes += scopes
        return AccessToken("t0ken", 4_000_000_000)

    async def close(self) -> None:
        """Do nothing."""

    async def __aenter__(self) -> "Credential":
        """Do nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""


def request_to(url: str, *, method: str = "GET", content: Any = None) -> PipelineRequest[HttpRequest]:
    """Make a request on its way through the pipeline."""
    return PipelineRequest(HttpRequest(method, url, content=content), PipelineContext(None))


@pytest.mark.parametrize(
    ("method", "url", "body", "content_hash", "signature"),
    [
        pytest.param(
            "GET",
            f"{ENDPOINT}/recording/download/0-wus-d1-0123?api-version=2021-04-15-preview1",
            b"",
            EMPTY,
            "eXm8eZ9cjCw4O0z/A3UKDxwTxywQrkd4RNdGxP+1m2I=",
            id="download",
        ),
        pytest.param(
            "POST",
            f"{ENDPOINT}/calling/recordings?api-version=2024-09-15",
            BODY,
            "0+J0uz9N3a7C690XvOk+3un/Rvmo4PJ6QQKZgHNfKQM=",
            "TblUsE0XH8sutpZR7vyBLtHv6isTqb6l2Iq6Va1hzBY=",
            id="start",
        ),
        pytest.param("GET", STORAGE_URL, b"", EMPTY, "I+/w0hudtxpCXf1W/hda6WvrVdkICZlmuPEs+ShV6PA=", id="storage-host"),
        pytest.param(
            "POST",
            f"{ENDPOINT}/calling/recordings/eyJhIjoxfQ%3D%3D:pause?api-version=2024-09-15",
            b"",
            EMPTY,
            "IrUc5f1eUvc/ZNGQvCo0DfXeYToPmITivsAXqOFyB4M=",
            id="pause",
        ),
    ],
)
def test_the_vectors(method: str, url: str, body: bytes, content_hash: str, signature: str) -> None:
    """The signature is the one that two independent programs made (docs/acs-contract.md#hmac)."""
    assert {
        "x-ms-date": DATE,
        "x-ms-content-sha256": content_hash,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    } == sign(method, url, body, host=HOST, key=KEY, date=DATE)


def test_the_method_is_signed_in_capitals() -> None:
    """A method in lower case is the same method."""
    assert sign("GET", ENDPOINT, b"", host=HOST, key=KEY, date=DATE) == sign(
        "get", ENDPOINT + "/", b"", host=HOST, key=KEY, date=DATE
    )


def test_the_policy_signs_the_body_that_is_sent() -> None:
    """A request leaves with the three headers, over its own body and a date of now."""
    request = request_to(f"{ENDPOINT}/conversations/a/recordings?api-version=1", method="POST", content=BODY)

    HmacPolicy(Resource(ENDPOINT, KEY)).on_request(request)

    http = request.http_request
    expected = sign("POST", http.url, BODY, host=HOST, key=KEY, date=http.headers["x-ms-date"])
    assert expected == {name: http.headers[name] for name in expected}
    assert parsedate_to_datetime(http.headers["x-ms-date"]).utcoffset() is not None
    assert "x-ms-host" not in http.headers


def test_the_policy_names_the_resource_to_another_host() -> None:
    """On a storage host the signature is made over the ACS host, and the request says so."""
    request = request_to(STORAGE_URL)

    HmacPolicy(Resource(ENDPOINT, KEY)).on_request(request)

    headers = request.http_request.headers
    expected = sign("GET", STORAGE_URL, b"", host=HOST, key=KEY, date=headers["x-ms-date"])
    assert (HOST, expected["Authorization"]) == (headers["x-ms-host"], headers["Authorization"])


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (f"{ENDPOINT}/a%7Eb?q=%7E", f"{ENDPOINT}/a~b?q=~"),
        (f"{ENDPOINT}/a%3D%3D/Pause", f"{ENDPOINT}/a==/Pause"),
        (f"{ENDPOINT}/a%2Fb/ü b", f"{ENDPOINT}/a%2Fb/%C3%BC%20b"),
        (f"{ENDPOINT}/a?", f"{ENDPOINT}/a"),
    ],
)
def test_the_policy_signs_the_url_that_is_sent(url: str, sent: str) -> None:
    """The HTTP client respells some URLs: what is signed is its spelling."""
    request = request_to(url)

    HmacPolicy(Resource(ENDPOINT, KEY)).on_request(request)

    http = request.http_request
    expected = sign("GET", sent, b"", host=HOST, key=KEY, date=http.headers["x-ms-date"])
    assert (sent, expected["Authorization"]) == (http.url, http.headers["Authorization"])


def test_a_key_is_used_where_there_is_one() -> None:
    """A key wins over an identity."""
    assert isinstance(auth_policy(Resource(ENDPOINT, KEY), Credential()), HmacPolicy)


async def test_an_identity_is_used_where_there_is_no_key() -> None:
    """Without a key the app's identity is asked for a token of the service's scope."""
    credential = Credential()
    chosen = auth_policy(Resource(ENDPOINT), credential)
    assert isinstance(chosen, AsyncBearerTokenCredentialPolicy)
    request = request_to(f"{ENDPOINT}/x")

    await chosen.on_request(request)

    assert (["https://communication.azure.com//.default"], "Bearer t0ken") == (
        credential.scopes,
        request.http_request.headers["Authorization"],
    )


async def test_azure_core_sends_no_token_in_the_clear() -> None:
    """Should a token ever be meant for plain http, azure-core refuses before asking for one."""
    credential = Credential()

    with pytest.raises(ServiceRequestError, match="TLS"):
        await AsyncBearerTokenCredentialPolicy(credential, SCOPE).on_request(request_to("http://127.0.0.1:9001/x"))

    assert credential.scopes == []


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9001", f"http://{HOST}", HOST])
def test_an_identity_needs_https(endpoint: str) -> None:
    """An endpoint that no token can be sent to is a setting that is wrong, and said at once."""
    with pytest.raises(Misconfigured, match="ACS_ENDPOINT must be an https URL"):
        auth_policy(Resource(endpoint), Credential())


def test_neither_key_nor_identity() -> None:
    """Without either, the settings to choose from are named."""
    with pytest.raises(Misconfigured, match="ACS_CONNECTION_STRING, or ACS_ENDPOINT"):
        auth_policy(Resource(ENDPOINT), None)
