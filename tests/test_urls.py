"""recording/urls.py: addresses from outside; those that are and aren't taken stand in control/test_bodies.py."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording import urls


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("", False),
        ("0.0.0.0", False),  # noqa: S104 - it is refused
        ("10.0.0.1", False),
        ("2130706433", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("contoso.communication.azure.com", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, *, expected: bool) -> None:
    """Only addresses of this machine count as loopback."""
    assert expected == urls.is_loopback(host)


@given(st.text(max_size=100) | st.text(max_size=50).map(lambda rest: f"https://{rest}"))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    """Whatever the text, it is an address or a ValueError that doesn't repeat it."""
    try:
        assert text == urls.require_https(text)
    except ValueError as refused:
        assert str(refused).startswith("must be an absolute https URI")  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("why?", "why?"),
        ("at https://app.example/callbacks, why?code", "at https://app.example/callbacks, why?code"),
        ("HTTPS://a.example?code=s3cret", "HTTPS://a.example?…"),
        (
            "'http://a.example/x?code=s3cret', \"https://b.example/?s3cret\"",
            "'http://a.example/x?…', \"https://b.example/?…\"",
        ),
        ("https://a.example/?to=https://b.example/?s3cret#s3cret", "https://a.example/?…"),
    ],
)
def test_queries_are_cut_off(text: str, expected: str) -> None:
    """Those of addresses: a question stays one."""
    assert expected == urls.strip_queries(text)


def test_a_long_text_takes_no_time() -> None:
    """A callback's message may be as long as its body."""
    begun = time.monotonic()
    urls.strip_queries("https://" * 100_000)

    assert time.monotonic() - begun < 1
