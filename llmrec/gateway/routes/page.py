"""The page at `/`: files that the wheel carries, under a policy by which a browser runs and shows nothing else."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response

from llmrec.gateway.faults import Refusal
from llmrec.gateway.state import Gateway

FOLDER = Path(__file__).parents[2] / "pages" / "shop"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
VERSION = b"@version@"
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",  # text becomes markup nowhere: the browser refuses innerHTML and its kin
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
}
ALWAYS = "no-cache"  # asked for again each time, and answered with 304
FOR_EVER = "public, max-age=31536000, immutable"  # its address changes with it


@dataclass(frozen=True)
class File:
    """A file of the page, ready to be sent."""

    content: bytes
    packed: bytes
    kind: str
    tag: str

    @classmethod
    def of(cls, content: bytes, suffix: str) -> "File":
        """A file with that content."""
        tag = f'W/"{hashlib.sha256(content).hexdigest()[:20]}"'
        return cls(content, gzip.compress(content, mtime=0), f"{KINDS[suffix]}; charset=utf-8", tag)

    def answer(self, request: Request, lasting: str) -> Response:
        """What is sent of it: nothing where the browser has it."""
        headers = {**HEADERS, "Cache-Control": lasting, "ETag": self.tag}
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        packed = "gzip" in request.headers.get("accept-encoding", "")
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(self.packed if packed else self.content, media_type=self.kind, headers=headers)


def install(app: FastAPI, _: Gateway) -> None:
    """Add the page."""
    found = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in KINDS}
    version = hashlib.sha256(b"\0".join(found.values())).hexdigest()[:12]
    page = File.of(found.pop("index.html").replace(VERSION, version.encode()), ".html")
    files = {name: File.of(content, Path(name).suffix) for name, content in found.items()}

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def index(request: Request) -> Response:
        return page.answer(request, ALWAYS)

    @app.api_route("/page/{asked}/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    async def file(request: Request, asked: str, name: str) -> Response:
        if asked != version or name not in files:
            raise Refusal(404, "The page has no such file. Load it again", code="no_file")
        return files[name].answer(request, FOR_EVER)
