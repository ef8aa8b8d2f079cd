"""Owns the promises of the artifact store `files`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from meson_core.builtin.files import Files, Options, meson_artifact_stores, open_store
from meson_core.errors import ArtifactError
from meson_runtime.artifacts import FileStore


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def stored(store: Files, tmp_path: Path, content: bytes) -> str:
    file = tmp_path / "file"
    file.write_bytes(content)
    return store.put(file)


def test_bytes_are_kept_by_content(tmp_path: Path) -> None:
    store = Files(tmp_path / "store")
    digest = stored(store, tmp_path, b"model")

    assert digest == digest_of(b"model")
    assert stored(store, tmp_path, b"model") == digest
    assert store.exists(digest)
    with store.open(digest) as file:
        assert file.read() == b"model"
    assert sorted(path for path in (tmp_path / "store").rglob("*") if path.is_file()) == [
        tmp_path / "store" / "lock",
        tmp_path / "store" / "sha256" / digest[7:9] / digest[9:],
    ]


def test_what_a_step_wrote_is_there(tmp_path: Path) -> None:
    """Executors and steps write to the URL themselves; this is the reading side of the same folder."""
    store = Files(tmp_path / "sto re")
    value = FileStore(store.url).put(b"from a step", name="x")

    with store.open(value["$artifact"]) as file:
        assert file.read() == b"from a step"


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    store = Files(tmp_path / "store")
    digest = digest_of(b"never stored")

    assert not store.exists(digest)
    with pytest.raises(ArtifactError) as caught:
        store.open(digest)
    assert str(caught.value) == (
        f"the bytes of {digest} cannot be read from {tmp_path / 'store'}: they are not there\n"
        "  hint: run the step that made them again"
    )


def test_forgetting_is_idempotent(tmp_path: Path) -> None:
    store = Files(tmp_path / "store")
    digest = stored(store, tmp_path, b"old")
    store.delete(digest)
    store.delete(digest)

    assert not store.exists(digest)
    assert stored(store, tmp_path, b"old") == digest


@pytest.mark.parametrize("digest", ["", "sha256:", "md5:00", "sha256:" + "0" * 63, "sha256:../../" + "0" * 58, "x"])
def test_a_digest_is_never_a_path(tmp_path: Path, digest: str) -> None:
    store = Files(tmp_path / "store")

    for action in (store.exists, store.open, store.claim, store.delete):
        with pytest.raises(ArtifactError, match="is not a digest"):
            action(digest)


def test_what_cannot_be_stored_is_told(tmp_path: Path) -> None:
    store = Files(tmp_path / "store")

    with pytest.raises(ArtifactError, match=r"nowhere cannot be stored in .*: No such file or directory"):
        store.put(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "out").symlink_to("/etc/hostname")
    with pytest.raises(ArtifactError, match="out is a link to /etc/hostname"):
        store.put(tmp_path / "folder")


def test_it_is_in_the_project_unless_the_settings_say_otherwise(tmp_path: Path) -> None:
    (definition,) = meson_artifact_stores()
    directory = tmp_path / ".meson"

    assert definition.name == "files"
    assert definition.open(definition.Options(), directory).url == (directory / "artifacts").as_uri()
    assert open_store(Options(folder=Path("out")), directory).url == (tmp_path / "out").as_uri()
    assert open_store(Options(folder=Path("/srv/models")), directory).url == "file:///srv/models"
