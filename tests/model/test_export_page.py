"""recording/model/export_page.py: the page of an export."""

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

from recording.model.export import About, ExportAsked, ExportedRecording, Found, MetadataText
from recording.model.export_page import render, write_data

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
HOSTILE = "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\N{SNOWMAN}"


def asked(participant: str = HOSTILE) -> ExportAsked:
    """Make what was asked for."""
    return ExportAsked(
        export_id="0" * 32,
        participant=participant,
        reason=HOSTILE,
        files="links",
        others="masked",
        at=NOW,
        expires_at=NOW + timedelta(days=7),
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_whatever_people_said_is_text() -> None:
    """Wherever a text from outside stands, it makes no tag and no attribute, and nothing is loaded."""
    one = ExportedRecording(
        recording_key=HOSTILE,
        taken_at=NOW,
        manifest={"reference": HOSTILE, "state": HOSTILE, HOSTILE: HOSTILE},
        metadata=(MetadataText(document_id=HOSTILE, index=0, bytes=1, text=HOSTILE),),
        trail=({"reason": HOSTILE},),
    )
    page = render(asked(), Found(keys=(HOSTILE,)), [one], About(consents=({"text": HOSTILE},)))
    seen = _Tags()
    seen.feed(page.decode())

    assert not seen.tags & {"script", "img", "a", "link", "iframe"}
    assert {"lang", "charset", "content", "name", "http-equiv"} == seen.attributes
    assert b"default-src 'none'" in page
    assert b"8:acs" not in page


def test_a_lone_surrogate_is_no_reason_to_write_nothing() -> None:
    """It can't be written as UTF-8, and JSON of the service may have one."""
    one = ExportedRecording(recording_key="k", taken_at=NOW, manifest={"reference": "x\ud800"})

    assert b"x\\ud800" in render(asked("a"), Found(keys=("k",)), [one], About())
    assert b"x\\ud800" in write_data(asked("a"), Found(keys=("k",)), [one], About())
