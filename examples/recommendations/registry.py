"""Owns a small model registry over HTTP: `registry.py FOLDER -- COMMAND …` runs a command beside it and ends with it.

    PUT  /blobs/sha256:<hex>  the bytes of a model, by their digest: 201, or 200 when they are there already
    POST /models              {"name", "model": digest, "card", "recommendations"} with an Idempotency-Key: 202, and a
                              Location to ask; the same key is the same job, however often it comes
    GET  /jobs/<id>           {"state": "publishing" | "published" | "failed", "version", "folder", "error"}
    GET  /models/latest       the card of the version in force, or 404

It listens on the loopback interface alone; `{registry}` in the command's arguments stands for its address.
The folder is the one that `recommender.publishing` knows. A registry that is started again knows what it was asked before,
and has the address that it had, if nobody else has taken it: a run that goes on asks there.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from recommender.publishing import card_of, latest, publish

if TYPE_CHECKING:
    from collections.abc import Callable

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LARGEST = 256 * 1024 * 1024
_PIECE = 64 * 1024


class RefusedError(Exception):
    """What was asked cannot be done.

    Args:
        status: of the answer.
        message: for the person who asked.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Shelf:
    """What is published, and the jobs that did it.

    Args:
        folder: of all versions; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._known = folder / "jobs.json"
        #: One version after the other, each on top of the one before.
        self._publishing = threading.Lock()
        self._changing = threading.Lock()
        self._jobs: dict[str, dict[str, Any]] = {}
        if self._known.exists():
            self._jobs = json.loads(self._known.read_text(encoding="utf-8"))

    def keep(self, digest: str, read: Callable[[int], bytes], size: int) -> bool:
        """Take the bytes of a model; False when they are there already."""
        path = self._blobs / digest
        there = path.exists()
        seen = hashlib.sha256()
        fresh = path.with_name(f".{digest}.{threading.get_ident()}")
        with fresh.open("wb") as file:
            while size > 0 and (piece := read(min(size, _PIECE))):
                seen.update(piece)
                file.write(piece)
                size -= len(piece)
        if seen.hexdigest() != digest:
            fresh.unlink()
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"the bytes are those of {seen.hexdigest()}, not of {digest}")
        fresh.replace(path)
        return not there

    def submit(self, key: str, order: dict[str, Any]) -> str:
        """Begin to publish, unless this key has been here before; the answer is the job's id."""
        digest = str(order.get("model", "")).removeprefix("sha256:")
        if not _DIGEST.fullmatch(digest) or not (self._blobs / digest).exists():
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"there are no bytes of a model {order.get('model')!r}")
        if not isinstance(order.get("card"), dict):
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "'card' must be an object that describes the model")
        job = hashlib.sha256(key.encode()).hexdigest()[:16]
        with self._changing:
            known = self._jobs.get(job)
            if known is not None and known["state"] != "failed":
                return job
            self._note(job, {"state": "publishing"})
        threading.Thread(target=self._publish, args=(job, digest, order), daemon=True).start()
        return job

    def job(self, job: str) -> dict[str, Any]:
        """What became of a job."""
        with self._changing:
            known = self._jobs.get(job)
        if known is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"there is no job {job!r}")
        return known

    def _publish(self, job: str, digest: str, order: dict[str, Any]) -> None:
        try:
            with self._publishing:
                before = latest(self.folder)
                version = card_of(before)["version"] + 1 if before else 1
                card = {**order["card"], "version": version}
                folder = publish(self.folder, self._blobs / digest, order.get("recommendations", []), card)  # type: ignore[arg-type]
            outcome = {"state": "published", "version": version, "folder": str(folder)}
        except (OSError, KeyError, TypeError, ValueError) as error:
            outcome = {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        with self._changing:
            self._note(job, outcome)

    def _note(self, job: str, outcome: dict[str, Any]) -> None:
        self._jobs = {**self._jobs, job: outcome}
        fresh = self._known.with_suffix(".new")
        fresh.write_text(json.dumps(self._jobs), encoding="utf-8")
        fresh.replace(self._known)


class Registry(ThreadingHTTPServer):
    """The registry as a server; `url` says where.

    Args:
        folder: of all versions.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.shelf = Shelf(folder)
        port = folder / "port"
        try:
            super().__init__(("127.0.0.1", int(port.read_text()) if port.exists() else 0), _Handler)
        except OSError:
            super().__init__(("127.0.0.1", 0), _Handler)
        port.write_text(f"{self.server_address[1]}\n")

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the terminal is the workflow's."""

    def _get(self) -> tuple[HTTPStatus, Any, dict[str, str]]:
        shelf = self.server.shelf
        if self.path == "/models/latest":
            version = latest(shelf.folder)
            if version is None:
                raise RefusedError(HTTPStatus.NOT_FOUND, "nothing is published yet")
            return HTTPStatus.OK, card_of(version), {}
        if self.path.startswith("/jobs/"):
            return HTTPStatus.OK, shelf.job(self.path.removeprefix("/jobs/")), {}
        raise RefusedError(HTTPStatus.NOT_FOUND, f"there is nothing at {self.path}")

    def _put(self) -> tuple[HTTPStatus, Any, dict[str, str]]:
        digest = unquote(self.path).removeprefix("/blobs/").removeprefix("sha256:")
        if not _DIGEST.fullmatch(digest):
            raise RefusedError(HTTPStatus.NOT_FOUND, f"there is nothing at {self.path}")
        fresh = self.server.shelf.keep(digest, self.rfile.read, self._size())
        return (HTTPStatus.CREATED if fresh else HTTPStatus.OK), {"digest": digest}, {}

    def _post(self) -> tuple[HTTPStatus, Any, dict[str, str]]:
        order = json.loads(self.rfile.read(self._size()))
        key = self.headers.get("Idempotency-Key", "")
        if self.path != "/models" or not isinstance(order, dict):
            raise RefusedError(HTTPStatus.NOT_FOUND, f"nothing can be posted to {self.path}")
        if not key:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "say which request this is: Idempotency-Key")
        job = self.server.shelf.submit(key, order)
        return HTTPStatus.ACCEPTED, {"job": job}, {"Location": f"{self.server.url}/jobs/{job}"}

    def _size(self) -> int:
        size = int(self.headers.get("Content-Length") or -1)
        if not 0 <= size <= _LARGEST:
            self.close_connection = True
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, f"say how long it is, at most {_LARGEST} bytes")
        return size

    def _answer(self, ask: Callable[[], tuple[HTTPStatus, Any, dict[str, str]]]) -> None:
        try:
            status, body, headers = ask()
        except RefusedError as error:
            status, body, headers = error.status, {"error": str(error)}, {}
        except ValueError as error:
            status, body, headers = HTTPStatus.BAD_REQUEST, {"error": f"that is not JSON: {error}"}, {}
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def main(arguments: list[str]) -> int:
    """Run a command beside a registry; returns the command's exit code."""
    if len(arguments) < 3 or arguments[1] != "--":
        print("usage: registry.py FOLDER -- COMMAND...", file=sys.stderr)
        return 2
    with Registry(Path(arguments[0])) as registry:
        thread = threading.Thread(target=registry.serve_forever, daemon=True)
        thread.start()
        command = [argument.replace("{registry}", registry.url) for argument in arguments[2:]]
        # Ctrl-C is for the command, which knows how to end; the registry ends with it.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        try:
            return subprocess.call(command)
        except OSError as error:
            print(f"registry.py: {command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        finally:
            registry.shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
