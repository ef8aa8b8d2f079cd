"""Owns the tests of the artifact store `remote`, at a place that is reached through fsspec: the kit, and what runs do there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from meson_core.builtin.remote import Options, Remote, meson_artifact_stores
from meson_core.errors import ArtifactError
from meson_core.testing.artifact_stores import ArtifactStoreKit
from meson_runtime.remote import RemoteStore, open_store
from tests.cli.command import Project

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def url_of(folder: Path) -> str:
    """fsspec's own way to a folder, which our store for folders does not know."""
    return f"local://{folder}"


@pytest.mark.slow
class TestRemote(ArtifactStoreKit):
    (definition,) = meson_artifact_stores()

    options = {"url": "local://BUCKET"}  # noqa: RUF012 (as the kit has it)

    @pytest.fixture(autouse=True)
    def _somewhere(self, tmp_path: Path) -> None:
        self._url = url_of(tmp_path / "bucket")

    def given(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**options, "url": self._url}


def test_a_machine_without_copies_fetches_them(tmp_path: Path) -> None:
    here = RemoteStore(url_of(tmp_path / "bucket"), str(tmp_path / "here"))
    there = open_store(url_of(tmp_path / "bucket"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("1")
    file, folder = here.put(b"model")["$artifact"], here.put(tmp_path / "folder")["$artifact"]

    assert isinstance(there, RemoteStore)
    assert Path(there.find(file)).read_bytes() == b"model"
    assert [path.name for path in Path(there.folder(folder)).iterdir()] == ["a"]


def test_bytes_that_have_changed_on_the_way_are_not_taken(tmp_path: Path) -> None:
    digest = RemoteStore(url_of(tmp_path / "bucket"), str(tmp_path / "here")).put(b"model")["$artifact"]
    stored = tmp_path / "bucket" / "sha256" / digest[7:9] / digest[9:]
    stored.chmod(0o644)
    stored.write_bytes(b"mode!")

    with pytest.raises(ArtifactError, match="has other bytes"):
        Remote(url_of(tmp_path / "bucket")).open(digest)


def test_claims_and_the_time_of_the_bytes_keep_them(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    store = Remote(url_of(bucket))
    (tmp_path / "model").write_text("model")
    digest = store.put(tmp_path / "model")
    then = time.time() - 3600
    for path in bucket.rglob("*"):
        os.utime(path, (then, then))

    assert [(each.digest, each.size) for each in store.contents()] == [(digest, 5)]
    assert store.claim(digest)
    assert not store.delete(digest, untouched_since=time.time() - 60)
    assert store.delete(digest, untouched_since=time.time() + 60)
    assert not store.claim(digest)
    assert not [path for path in bucket.rglob("*") if path.is_file()]


def test_what_an_interrupted_upload_left_is_removed(tmp_path: Path) -> None:
    store = Remote(url_of(tmp_path / "bucket"))
    (tmp_path / "model").write_text("model")
    store.put(tmp_path / "model")
    (tmp_path / "bucket" / "incoming-x").write_text("half")

    assert store.tidy(time.time() - 3600) == 0
    assert store.tidy(time.time() + 60) == 1
    assert len(list(store.contents())) == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [("/srv/models", "is a folder"), ("file:///srv", "is a folder"), ("sftp://me:secret@host/x", "has a password")],
)
def test_a_url_that_is_none_of_its_own_is_refused(url: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Options(url=url)
    if "secret" in url:
        with pytest.raises(ValueError, match="no place for a password") as caught:
            open_store(url)
        assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_runs_keep_their_artifacts_there(tmp_path: Path) -> None:
    """Steps put and read, programs and functions; the terminal fetches, prune asks first."""
    flow: dict[str, Any] = {
        "name": "far",
        "sequence": [
            {
                "make": {
                    "kind": "shell",
                    "script": 'echo hello > a.txt; echo \'{"x": "a.txt"}\' > $MESON_OUTPUTS',
                    "outputs": {"x": "artifact"},
                }
            },
            {
                "use": {
                    "kind": "python",
                    "options": {
                        "function": "f",
                        "source": "from meson_runtime import ctx\n"
                        "def f(x):\n    return {'y': ctx.put(x.path.read_bytes().upper())}\n",
                    },
                    "inputs": {"x": "${make.x}"},
                    "outputs": {"y": "artifact"},
                }
            },
        ],
    }
    import yaml

    with Project.made(tmp_path / "project") as project:
        settings = (project.folder / "meson.toml").read_text()
        where = url_of(tmp_path / "bucket")
        text = f'artifact_store = "remote"\n{settings}\n[artifact_stores.remote]\nurl = "{where}"\n'
        project.write("meson.toml", text)
        project.write("flow.yaml", yaml.safe_dump(flow, sort_keys=False))
        project.env["XDG_CACHE_HOME"] = str(tmp_path / "cache of a run")
        done = project.mesonctl("run", "flow.yaml", "--json")
        assert done.code == 0, done.out + done.err
        project.env["XDG_CACHE_HOME"] = str(tmp_path / "cache of another machine")

        assert project.mesonctl("artifacts", "get", "use.y", "-").out == "HELLO\n"
        asked = project.mesonctl("artifacts", "prune")
        assert "where other projects may keep theirs" in asked.err
        assert project.mesonctl("artifacts", "prune", "--sole").out.startswith("0 artifacts deleted")
    assert len([path for path in (tmp_path / "bucket" / "sha256").rglob("*") if path.is_file()]) == 2
