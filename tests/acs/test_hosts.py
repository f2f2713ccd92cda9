"""recording/acs/hosts.py: where bytes may be fetched from."""

import pytest

from recording.acs import hosts
from recording.errors import SourceRefused

NAMED = {"contoso.communication.azure.com", "media.contoso.example", "odd.example:8443", "127.0.0.1:9001", "[::1]:9002"}
REFUSED = [
    "https://evil.example/x",
    "http://contoso.communication.azure.com/x",
    "http://storage.asm.skype.com/x",
    "http://media.contoso.example/x",
    "ftp://storage.asm.skype.com/x",
    "file:///etc/passwd",
    "https:/storage.asm.skype.com/x",
    "https:///storage.asm.skype.com/x",
    "https://evilasm.skype.com/x",
    "https://asm.skype.com/x",
    "https://storage.asm.skype.com.evil.example/x",
    "https://storage.asm.skype.com./x",
    "https://storage.asm.skype.com:8443/x",
    "https://storage.asm.skype.com:443@evil.example/x",
    "https://storage.asm.skype.com@evil.example/x",
    "https://user:password@storage.asm.skype.com/x",
    "https://@storage.asm.skype.com/x",
    "https://storage.asm.skype.com:99999/x",
    "https://storage.asm.skype.com:port/x",
    "https://evil.example\\.asm.skype.com/x",
    "https://evil.example\\@storage.asm.skype.com/x",
    "https://evil.example%2f.asm.skype.com/x",
    "https://evil.example%00.asm.skype.com/x",
    "https://evil.example&.asm.skype.com/x",
    "https://evil.example;.asm.skype.com/x",
    "https://evil.example .asm.skype.com/x",
    "https://evil.example#.asm.skype.com/x",
    "https://evil.example?.asm.skype.com/x",
    "https://evil.example/.asm.skype.com/x",
    "https://[::1].asm.skype.com/x",
    "https://[::1/x",
    "https://storage.asm\N{FULLWIDTH FULL STOP}skype.com/x",
    "https://contoso.communication.azure.com:8443/x",
    "https://contoso.communication.azure.com.evil.example/x",
    "https://x.contoso.communication.azure.com/x",
    "https://odd.example/x",
    "https://odd.example:443/x",
    "https://x.media.contoso.example/x",
    "http://127.0.0.1/x",
    "http://127.0.0.1:9002/x",
    "http://localhost:9001/x",
    "http://127.0.0.1.evil.example:9001/x",
    "http://2130706433:9001/x",
    "http://169.254.169.254/metadata/identity/oauth2/token",
    "",
    "x",
]
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
    """The service's own host, its storage hosts and those that were set are taken."""
    hosts.require_allowed(url, NAMED)
