"""Pure: the page of an export, for people: one file without links to anything outside it.

Every text in it comes from outside and is escaped; the page runs no script and loads nothing.
"""

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from recording.model.export import About, ExportAsked, ExportedRecording, Found

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .75rem .25rem 0;"
    "vertical-align:top;border-bottom:1px solid #ccc;overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;color:#111;padding:.5rem}"
)
_OTHERS = {
    "masked": "Others who took part are shown as another-participant-1 and so on, from 1 in each recording.",
    "shown": "Others who took part are shown as the recordings name them.",
}


def write_data(asked: ExportAsked, found: Found, recordings: Iterable[ExportedRecording], about: About) -> bytes:
    """Return all of an export as JSON."""
    whole = {
        "asked": asked.model_dump(mode="json", by_alias=True),
        "unreadable": list(found.unreadable),
        "recordings": [one.model_dump(mode="json", by_alias=True) for one in recordings],
        "about": about.model_dump(mode="json", by_alias=True),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False).encode(errors="backslashreplace")


def render(asked: ExportAsked, found: Found, recordings: Iterable[ExportedRecording], about: About) -> bytes:
    """Return the page as HTML."""
    all_recordings = list(recordings)
    there = [one for one in all_recordings if one.manifest is not None]
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">',
        f"<title>Recordings of {_text(asked.participant)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Recordings of {_text(asked.participant)}</h1>",
        _table(
            {
                "as of": asked.at.isoformat(),
                "asked for because": asked.reason,
                "deleted on": asked.expires_at.isoformat(),
                "recordings": len(there),
                "no longer there": len(all_recordings) - len(there),
                "recordings that could not be read": len(found.unreadable),
            }
        ),
        f"<p>{_OTHERS[asked.others]} The file export.json has the same for programs.</p>",
        "<h2>Recordings</h2>",
        *(_recording(one) for one in there),
        "<h2>Consent</h2>",
        *(_facts(about.consents) or ["<p>None is on record.</p>"]),
        "<h2>Searches and exports</h2>",
        *(_facts(about.trail) or ["<p>None is on record.</p>"]),
        "</body></html>",
    ]
    return ("\n".join(parts) + "\n").encode()


def _recording(one: ExportedRecording) -> str:
    said = one.manifest
    files = [
        f"<tr><td>{file.index}</td><td>{_text(file.outcome)}</td><td>{_text(file.file_name)}</td>"
        f"<td>{file.bytes}</td><td>{_text(file.sha256 or 'not known yet')}</td></tr>"
        for file in one.files
    ]
    return "\n".join(
        [
            f"<section><h3>{_text(said.get('recordingStartTime'))}</h3>",
            _table(
                {
                    "recording key": one.recording_key,
                    "state": said.get("state"),
                    "milliseconds": said.get("recordingDurationMs"),
                    "reference": said.get("reference"),
                }
            ),
            "<table><thead><tr><th>chunk</th><th>state</th><th>file</th><th>bytes</th><th>SHA-256</th></tr></thead>",
            "<tbody>",
            *files,
            "</tbody></table>",
            *(
                _details(
                    f"metadata file of chunk {file.index}",
                    file.withheld or file.text or json.dumps(file.said, indent=2, ensure_ascii=False),
                )
                for file in one.metadata
            ),
            _details("manifest", json.dumps(said, indent=2, ensure_ascii=False)),
            _details(f"what was done with it ({len(one.trail)})", json.dumps(one.trail, indent=2, ensure_ascii=False)),
            "</section>",
        ]
    )


def _facts(facts: Iterable[Any]) -> list[str]:
    return [f"<pre>{_text(json.dumps(one, indent=2, ensure_ascii=False))}</pre>" for one in facts]


def _details(title: str, text: str) -> str:
    return f"<details><summary>{_text(title)}</summary><pre>{_text(text)}</pre></details>"


def _table(rows: dict[str, object]) -> str:
    cells = [
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows.items() if value is not None
    ]
    return f"<table>{''.join(cells)}</table>"


def _text(value: object) -> str:
    # A lone surrogate can't be written as UTF-8.
    return escape(str(value).encode(errors="backslashreplace").decode())
