"""recording/config/resource.py: an ACS resource, as settings name it; its key is never shown."""

import pytest

from recording.config.resource import Resource, parse_connection_string
from recording.errors import Misconfigured
from tests.support.origin import KEY

ENDPOINT = "https://contoso.communication.azure.com"


@pytest.mark.parametrize(
    "text",
    [
        f"endpoint={ENDPOINT}/;accesskey={KEY}",
        f"endpoint={ENDPOINT};accesskey={KEY}",
        f"Endpoint={ENDPOINT}/;AccessKey={KEY};",
        f"accesskey={KEY};endpoint={ENDPOINT}",
        f"  endpoint = {ENDPOINT}/ ; accesskey = {KEY} \n",
        f"endpoint={ENDPOINT}/;accesskey={KEY};more=x;junk",
    ],
)
def test_connection_strings(text: str) -> None:
    """A connection string is read whatever the order or case of its names (docs/acs-contract.md#connection-string)."""
    assert Resource(ENDPOINT, KEY) == parse_connection_string(text)


def test_the_port_is_part_of_what_is_signed() -> None:
    """An emulator's host has its port in the signature."""
    resource = parse_connection_string(f"endpoint=http://127.0.0.1:9001/;accesskey={KEY}")

    assert ("http://127.0.0.1:9001", "127.0.0.1:9001") == (resource.endpoint, resource.authority)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3cret",
        ";;;",
        "endpoint=;accesskey=",
        f"endpoint={ENDPOINT}/",
        f"accesskey={KEY}",
        f"endpoint=s3cret.communication.azure.com;accesskey={KEY}",
        f"endpoint=ftp://s3cret;accesskey={KEY}",
        f"endpoint=https://[s3cret;accesskey={KEY}",
        f"endpoint=https://contoso.communication.azure.com:s3cret;accesskey={KEY}",
        f"endpoint={ENDPOINT}/s3cret;accesskey={KEY}",
        f"endpoint=https://user:s3cret@contoso.communication.azure.com;accesskey={KEY}",
        f"endpoint={ENDPOINT};accesskey=s3cret",
        f"endpoint={ENDPOINT};accesskey=s3cret=ü",
        f"endpoint={ENDPOINT};accesskey=s3cret!!",
    ],
)
def test_connection_strings_that_are_wrong(text: str) -> None:
    """What is wrong is said without a word of what was set."""
    with pytest.raises(Misconfigured) as caught:
        parse_connection_string(text)

    assert "ACS_CONNECTION_STRING" in caught.value.message
    assert not any(secret in caught.value.message for secret in ("s3cret", KEY))


def test_a_resource_does_not_show_its_key() -> None:
    """Neither repr nor str has the key."""
    resource = Resource(ENDPOINT, KEY)

    assert f"Resource(endpoint='{ENDPOINT}')" == repr(resource) == str(resource)
