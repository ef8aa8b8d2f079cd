"""Owns the proof that the example's registry publishes once for each key, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

REGISTRY = Path(__file__).parents[2] / "examples" / "recommendations" / "registry.py"
MODEL = b"a model" * 100_000
DIGEST = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with Registry(tmp_path / "published") as registry:
        thread = threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield registry.url
        registry.shutdown()
        thread.join()


def ask(method: str, url: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


def order(rmse: float = 0.9) -> bytes:
    return json.dumps({"model": f"sha256:{DIGEST}", "card": {"rmse": rmse}, "recommendations": []}).encode()


def published(url: str, key: str, rmse: float = 0.9) -> dict[str, Any]:
    status, _, headers = ask("POST", f"{url}/models", order(rmse), **{"Idempotency-Key": key})
    assert status == 202
    while True:
        _, job, _ = ask("GET", headers["Location"])
        if job["state"] != "publishing":
            return dict(job)


def test_a_model_is_published_once_for_each_key(url: str, tmp_path: Path) -> None:
    """A second attempt that does not know of the first one must not make another version."""
    assert ask("GET", f"{url}/models/latest")[0] == 404
    assert ask("PUT", f"{url}/blobs/{DIGEST}", MODEL)[0] == 201
    assert ask("PUT", f"{url}/blobs/sha256%3A{DIGEST}", MODEL)[0] == 200

    first = published(url, "key-1")
    assert published(url, "key-1") == first
    second = published(url, "key-2", rmse=0.8)

    assert (1, 2) == (first["version"], second["version"])
    assert {"rmse": 0.8, "version": 2} == ask("GET", f"{url}/models/latest")[1]
    assert (tmp_path / "published" / "v1" / "model.npz").read_bytes() == MODEL


def test_a_registry_that_is_started_again_knows_its_jobs(tmp_path: Path) -> None:
    """The answer to a request may get lost together with the process that gave it."""
    outcomes, addresses = [], set()
    for _ in range(2):
        with Registry(tmp_path) as registry:
            addresses.add(registry.url)
            threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.01}).start()
            ask("PUT", f"{registry.url}/blobs/{DIGEST}", MODEL)
            outcomes.append(published(registry.url, "key"))
            registry.shutdown()

    assert outcomes[0] == outcomes[1]
    assert 1 == len(addresses)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("PUT", f"/blobs/{DIGEST}", b"other bytes", 400, "not of"),
        ("POST", "/models", order(), 422, "no bytes of a model"),
        ("POST", "/models", b"{", 400, "not JSON"),
        ("POST", "/elsewhere", b"{}", 404, "/elsewhere"),
        ("GET", "/jobs/none", None, 404, "no job"),
        ("GET", "/blobs/../jobs.json", None, 404, "nothing at"),
        ("PUT", "/blobs/../../etc", b"", 404, "nothing at"),
    ],
)
def test_what_makes_no_sense_is_refused(
    url: str, method: str, path: str, body: bytes | None, status: int, word: str
) -> None:
    code, told, _ = ask(method, url + path, body, **{"Idempotency-Key": "key"})

    assert status == code
    assert word in told["error"]


def test_a_command_runs_beside_it_and_its_exit_code_counts(tmp_path: Path) -> None:
    code = "import sys, urllib.request as r\ntry: r.urlopen(sys.argv[1] + '/models/latest')\nexcept r.HTTPError: sys.exit(7)"
    command = [sys.executable, str(REGISTRY), str(tmp_path), "--", sys.executable, "-c", code, "{registry}"]

    assert 7 == subprocess.run(command, check=False, timeout=30).returncode


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, REGISTRY, tmp_path, "--", "no-such-command"],
        check=False,
        timeout=30,
        capture_output=True,
        text=True,
    )

    assert (127, "registry.py: no-such-command: No such file or directory\n") == (done.returncode, done.stderr)
