"""recording/api/page.py: the page's files, their headers, and how many bytes they are."""

import gzip
import json
import re
from html import unescape
from typing import Any

import azure.functions as func
import pytest

from recording.api.page import FOLDER, Page, policy
from recording.errors import NotFound
from recording.model.surroundings import Surroundings

AROUND = Surroundings(
    authority="https://login.microsoftonline.com/",
    tenant="8c5f7a39-0000-4000-8000-000000000003",
    api="8c5f7a39-0000-4000-8000-000000000004",
    page="8c5f7a39-0000-4000-8000-000000000005",
    runbook="https://wiki.example.com/recordings/runbook.md",
    media=("https://starchive.blob.core.windows.net", "https://ststaging.blob.core.windows.net"),
)
# What everything together may weigh: compressed, as it is sent, and as it lies here.
MOST_SENT, MOST_BYTES = 60_000, 200_000
PAGE = Page()


def ask(**headers: str) -> func.HttpRequest:
    """Return a request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest("GET", "/", headers=named, body=b"")


def document(around: Surroundings = AROUND, **headers: str) -> func.HttpResponse:
    """Ask for the document."""
    return PAGE.document(ask(**headers), around)


def test_the_page_weighs_little() -> None:
    """All of it, whichever views somebody opens."""
    sent = [len(file.packed) for file in [PAGE.write(AROUND), *PAGE.files.values()]]
    bytes_ = sum(path.stat().st_size for path in FOLDER.iterdir())

    assert sum(sent) < MOST_SENT
    assert bytes_ < MOST_BYTES


def test_scripts_are_sent_without_comments_and_indentation() -> None:
    """Line for line what lies here, apart from these; so no text of a script may go over several lines."""
    for path in FOLDER.glob("*.js"):
        text = path.read_text()
        lines = [line.strip(" ") for line in text.splitlines()]
        sent = PAGE.files[path.name].body.decode()

        assert [line for line in lines if line and not line.startswith("//")] == sent.splitlines()
        assert [] == [line for line in lines if line.count("`") % 2], f"{path.name}: a text over several lines"


def test_every_file_of_the_folder_is_served() -> None:
    """None has a type that this app doesn't know, and none is in a folder of its own."""
    assert {path.name for path in FOLDER.iterdir()} == {"index.html", *PAGE.files}


def test_the_document_is_asked_for_each_time_and_the_rest_is_kept() -> None:
    """A file's address changes with any file, so that modules of two versions never meet."""
    text = document().get_body().decode()
    named = {name for name in re.findall(rf'(?:href|src)="ui/{PAGE.version}/([\w.-]+)"', text)}
    kept = PAGE.file(ask(), PAGE.version, "main.js")
    old = PAGE.file(ask(), "0123456789abcdef", "main.js")

    assert set(PAGE.files) == named
    assert "no-cache" == document().headers["Cache-Control"]
    assert "public, max-age=31536000, immutable" == kept.headers["Cache-Control"]
    assert ("no-store", kept.get_body()) == (old.headers["Cache-Control"], old.get_body())
    with pytest.raises(NotFound):
        PAGE.file(ask(), PAGE.version, "../__init__.py")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip, deflate, br", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("br, gzip; q=0.0", None),
    ],
)
def test_it_is_compressed_for_whoever_takes_that(accepted: str, expected: str | None) -> None:
    """Each form has an ETag of its own, and what unpacks is the same."""
    answer = PAGE.file(ask(Accept_Encoding=accepted), PAGE.version, "main.js")
    body = answer.get_body()

    assert expected == answer.headers.get("Content-Encoding")
    assert PAGE.files["main.js"].body == (gzip.decompress(body) if expected else body)
    assert bool(expected) == answer.headers["ETag"].endswith('-gzip"')
    assert "Accept-Encoding" == answer.headers["Vary"]


def test_whoever_has_it_already_gets_a_304() -> None:
    """As long as neither a file nor a setting has changed."""
    first = document(Accept_Encoding="gzip")
    again = document(Accept_Encoding="gzip", If_None_Match=first.headers["ETag"])
    changed = document(Surroundings(), Accept_Encoding="gzip", If_None_Match=first.headers["ETag"])

    assert (200, 304, 200) == (first.status_code, again.status_code, changed.status_code)
    assert b"" == again.get_body()
    assert first.headers["Content-Security-Policy"] == again.headers["Content-Security-Policy"]


def test_the_policy_lets_through_what_is_needed_and_nothing_else() -> None:
    """Requests to this app and to the sign-in, media of the storage accounts, and no text that becomes HTML."""
    assert (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self' https://login.microsoftonline.com; "
        "media-src https://starchive.blob.core.windows.net https://ststaging.blob.core.windows.net; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ) == document().headers["Content-Security-Policy"]
    assert "connect-src 'self'; media-src 'none';" in policy(Surroundings(wrong=True))


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    """What the policy would refuse isn't there."""
    text = (FOLDER / "index.html").read_text()

    assert [] == re.findall(r"<style|<script(?![^>]*src=)|\sstyle=|\son\w+=|https?://", text)
    for path in FOLDER.glob("*.js"):
        assert [] == re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text())
    assert [] == re.findall(r"@import|url\(", (FOLDER / "style.css").read_text())


def test_other_headers_protect_the_page() -> None:
    """On the document and on its files; host.json has HSTS for every answer."""
    for answer in (document(), PAGE.file(ask(), PAGE.version, "main.js")):
        assert "nosniff" == answer.headers["X-Content-Type-Options"]
        assert "no-referrer" == answer.headers["Referrer-Policy"]
        assert "same-origin" == answer.headers["Cross-Origin-Opener-Policy"]
        assert "same-origin" == answer.headers["Cross-Origin-Resource-Policy"]
        assert "camera=(), microphone=(), geolocation=()" == answer.headers["Permissions-Policy"]


def test_the_document_says_where_to_sign_in() -> None:
    """What isn't set isn't there, and no value can leave its attribute."""

    def told(around: Surroundings) -> Any:
        text = document(around).get_body().decode()
        found = re.search(r'<meta name="recordings" content="([^"]*)">', text)
        assert found
        return json.loads(unescape(found[1]))

    assert ["authority", "tenant", "api", "page", "runbook"] == list(told(AROUND))
    assert {"wrong": True} == told(Surroundings(wrong=True))
    assert {"authority": '">&'} == told(Surroundings(authority='">&'))
