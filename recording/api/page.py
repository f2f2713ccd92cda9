"""Serve the page: its files are read once, at the first request, and answered from memory.

No path is made of a request: names are looked up. All files but the document are under a digest of all of them, so that
they may be kept for ever, and a document never gets modules of another version. The host compresses nothing, so the app
does (docs/functions-host.md#http).
"""

import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import azure.functions as func

from recording.errors import NotFound
from recording.model.surroundings import Surroundings

FOLDER = Path(__file__).parents[1] / "page"
DOCUMENT = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"
# Beside the policy, which depends on where media come from. host.json has HSTS.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_REFUSES_GZIP = re.compile(r"(?:gzip|\*)\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")


@dataclass(frozen=True)
class File:
    """A file as it is sent: `packed` is its gzip."""

    body: bytes
    packed: bytes
    content_type: str

    @property
    def etag(self) -> str:
        """Return what changes with the content."""
        return hashlib.sha256(self.body).hexdigest()[:32]

    def answer(self, req: func.HttpRequest, headers: Mapping[str, str]) -> func.HttpResponse:
        """Answer with the file, compressed if that is accepted; with 304 to whoever has it."""
        accepted = req.headers.get("Accept-Encoding", "").lower()
        is_packed = "gzip" in accepted and not _REFUSES_GZIP.search(accepted)
        # Two representations, so two validators (RFC 9110, 8.8.3.3).
        etag = f'"{self.etag}{"-gzip" if is_packed else ""}"'
        sent = {**_HEADERS, **headers, "ETag": etag, "Vary": "Accept-Encoding"}
        if etag in req.headers.get("If-None-Match", ""):
            return func.HttpResponse(status_code=304, headers=sent)
        if is_packed:
            sent["Content-Encoding"] = "gzip"
        kind, _, charset = self.content_type.partition("; charset=")
        body = self.packed if is_packed else self.body
        return func.HttpResponse(body, headers=sent, mimetype=kind, charset=charset or None)


class Page:
    """The document and the files that it loads."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._documents: dict[Surroundings, File] = {}

    @cached_property
    def files(self) -> dict[str, File]:
        """Return the files by name, without the document."""
        found = sorted(path for path in self._folder.iterdir() if path.suffix in _TYPES and path.name != DOCUMENT)
        return {path.name: _file(lean(path.read_bytes(), path.suffix), path.suffix) for path in found}

    @cached_property
    def version(self) -> str:
        """Return a digest of all files: a segment of their addresses."""
        text = "".join(f"{name} {file.etag}\n" for name, file in self.files.items())
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def document(self, req: func.HttpRequest, around: Surroundings) -> func.HttpResponse:
        """Answer with the document, which is asked for again each time."""
        made = self._documents.get(around) or self._documents.setdefault(around, self.write(around))
        return made.answer(req, {"Cache-Control": "no-cache", "Content-Security-Policy": policy(around)})

    def file(self, req: func.HttpRequest, version: str, name: str) -> func.HttpResponse:
        """Answer with a file; raises NotFound for an unknown one.

        One of another version is answered with what there is now, but not to be kept: a deployment replaced it while
        a document was being loaded.
        """
        found = self.files.get(name)
        if found is None:
            raise NotFound("the page has no file of this name", target="file")
        return found.answer(req, {"Cache-Control": _FOREVER if version == self.version else "no-store"})

    def write(self, around: Surroundings) -> File:
        """Write the document: with the addresses of its files, and what it must know."""
        text = (self._folder / DOCUMENT).read_text(encoding="utf-8")
        modules = (name for name in self.files if name.endswith(".js"))
        links = "\n".join(f'<link rel="modulepreload" href="ui/{self.version}/{name}">' for name in modules)
        told = {
            "authority": around.authority,
            "tenant": around.tenant,
            "api": around.api,
            "page": around.page,
            "runbook": around.runbook,
            "wrong": around.wrong,
        }
        written = (
            text.replace("{version}", self.version)
            .replace("<!-- modules -->", links)
            .replace("{settings}", html.escape(json.dumps({name: value for name, value in told.items() if value})))
        )
        return _file(written.encode(), ".html")


def lean(body: bytes, suffix: str) -> bytes:
    """Return a script or a style sheet without indentation and lines of comment, which are a sixth of its gzip.

    Nothing else is changed: a script has no text that goes over several lines.
    """
    if suffix not in (".js", ".css"):
        return body
    unindented = re.sub(rb"(?m)^[ \t]+", b"", body)
    return re.sub(rb"(?m)^(?://.*)?\n", b"", unindented) if suffix == ".js" else unindented


def policy(around: Surroundings) -> str:
    """Return the Content-Security-Policy: nothing inline, no HTML from text, and no address that isn't needed."""
    signs_in = origin(around.authority) if around.authority else ""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            " ".join(["connect-src 'self'", *([signs_in] if signs_in else [])]),
            " ".join(["media-src", *(around.media or ["'none'"])]),
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def origin(address: str) -> str:
    """Return scheme and host of an address."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _file(body: bytes, suffix: str) -> File:
    # Without a time in it: the same content is always the same bytes.
    return File(body, gzip.compress(body, 9, mtime=0), _TYPES[suffix])
