"""recording/acs/hosts.py: where bytes may be fetched from."""

import pytest

from recording.acs import hosts
from recording.errors import SourceRefused
from tests.support.hosts import REFUSED

NAMED = {"contoso.communication.azure.com", "media.contoso.example", "odd.example:8443", "127.0.0.1:9001", "[::1]:9002"}
ALLOWED = [
    "https://contoso.communication.azure.com/x",
    "https://contoso.communication.azure.com:443/x",
    "https://CONTOSO.communication.azure.com/x",
    "https://storage.asm.skype.com/v1/objects/x/content/video",
    "https://sa1-storage.asm.skype.com:443/x",
    "https://STORAGE.ASM.SKYPE.COM/x",
    "https://api.asyncgw.teams.microsoft.com/x",
    "https://a.ams.gov.teams.microsoft.us/x",
    "https://media.contoso.example/x",
    "https://media.contoso.example:443/x",
    "https://odd.example:8443/x",
    "https://127.0.0.1:9001/x",
    "http://127.0.0.1:9001/x",
    "http://[::1]:9002/x",
]


@pytest.mark.parametrize("url", REFUSED)
def test_hosts_that_are_refused(url: str) -> None:
    """Bytes are fetched from nobody but the service, its storage hosts and those that were set, safely."""
    with pytest.raises(SourceRefused):
        hosts.require_allowed(url, NAMED)


@pytest.mark.parametrize("url", ALLOWED)
def test_hosts_that_are_allowed(url: str) -> None:
    """The service's own host, its storage hosts and those that were set are accepted."""
    hosts.require_allowed(url, NAMED)


def test_a_host_of_any_length_is_named_in_short() -> None:
    """The message reaches logs and manifests, a hundred times for each chunk."""
    with pytest.raises(SourceRefused) as refused:
        hosts.require_allowed(f"https://{'a' * 8000}.example/x", NAMED)

    assert len(refused.value.message) < 400
