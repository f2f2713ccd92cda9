"""recording/proxies.py: a client asks the environment for a proxy only if it names one."""

import os
import sys

import pytest

from recording import proxies


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's settings count, too")
@pytest.mark.parametrize(
    ("environment", "asks"),
    [
        ({}, False),
        ({"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}, False),
        ({"HTTPS_PROXY": "http://proxy.example:8080"}, True),
        ({"http_proxy": "http://proxy.example:8080", "no_proxy": "localhost"}, True),
    ],
)
def test_requests_ask_for_a_proxy_if_one_is_named(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], asks: bool
) -> None:
    """What must not be proxied names none."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert {"use_env_settings": asks} == proxies.client_options()
