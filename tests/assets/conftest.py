"""A registry of one tiny package that the real clients can download from, without a network."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from v2l.assets.pins import Pin

NPM_NAME = "@tiny/pack"
PIP_NAME = "tiny-pack"


def npm_archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        files = {"package.json": json.dumps({"name": NPM_NAME, "version": "1.0.0"}), "words.txt": "ant bee"}
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


@pytest.fixture
def npm_pin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pin]:
    """A package that npm finds on a server on this machine."""
    archive = npm_archive()

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = f"http://127.0.0.1:{self.server.server_port}/pack.tgz"
            version = {"name": NPM_NAME, "version": "1.0.0", "dist": {"tarball": address}}
            package = {"name": NPM_NAME, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            body = archive if self.path.endswith(".tgz") else json.dumps(package).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Requests are not worth a line in the test's output."""

    server = HTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    yield Pin(
        registry="npm",
        name=NPM_NAME,
        version="1.0.0",
        archive="tiny-pack-1.0.0.tgz",
        sha256=hashlib.sha256(archive).hexdigest(),
        license="MIT",
        files={"words.txt": "npm.txt"},
    )
    server.shutdown()
    server.server_close()


@pytest.fixture
def pip_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pin:
    """A wheel that pip finds in a folder."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = folder / "tiny_pack-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_pack/words.txt", "cat dog")
        archive.writestr("tiny_pack-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {PIP_NAME}\nVersion: 1.0\n")
        archive.writestr("tiny_pack-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_pack-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Pin(
        registry="pypi",
        name=PIP_NAME,
        version="1.0",
        archive=wheel.name,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        license="MIT",
        files={"tiny_pack/words.txt": "pip.txt"},
    )
