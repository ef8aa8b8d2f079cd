"""Owns the tests of what a step sees when there is no run, and of the parts of the runtime that need no process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import meson_runtime
from meson_executor.progress import parse
from meson_executor.secrets import SecretMissingError, Secrets
from meson_runtime import Artifact, ctx
from meson_runtime.artifacts import ArtifactMissingError, FileStore
from meson_runtime.board import SIZE, Board
from meson_runtime.context import SecretError
from meson_runtime.outputs import OutputError, check, problem, spell
from meson_runtime.outputs import parse as parse_type


def test_outside_of_a_run_everything_works(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A step function is a plain one: its unit test needs nothing of Meson."""
    monkeypatch.setenv("MESON_SECRET_token", "s3cret")
    ctx.progress(0.5, "half way")
    ctx.emit("loss", 0.5)
    ctx.link("page", "http://localhost")
    with caplog.at_level(logging.INFO):
        ctx.log.info("a line")
    stored = ctx.put(b"bytes", name="x.csv")

    assert (ctx.run_id, ctx.step, ctx.indexes, ctx.attempt, ctx.job_key, ctx.inputs) == ("", "", (), 0, "", {})
    assert list(ctx.messages()) == []
    assert ctx.cancelled is False
    assert ctx.secret("token") == "s3cret"
    assert caplog.messages == ["a line"]
    assert (stored.name, stored.size, stored.media) == ("x.csv", 5, "text/csv")
    assert stored.path.read_bytes() == b"bytes"
    assert ctx.scratch.is_dir()
    with pytest.raises(SecretError, match="there is no MESON_SECRET_other in the environment"):
        ctx.secret("other")
    with pytest.raises(ValueError, match=r"emit\('x', \.\.\.\): the value is not JSON: "):
        ctx.emit("x", object())


def test_importing_the_runtime_costs_nothing() -> None:
    """A module of steps is imported in places where a tenth of a second counts."""
    code = "import sys; import meson_runtime; print(sorted(name for name in sys.modules if name.startswith('meson_runtime')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "['meson_runtime']\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = meson_runtime.nothing


def test_files_are_stored_by_content(tmp_path: Path) -> None:
    store = FileStore((tmp_path / "a store").as_uri())
    (tmp_path / "model.json").write_text("{}")
    first, second = store.put(tmp_path / "model.json"), store.put(b"{}", name="other", media="x/y")

    assert first["$artifact"] == second["$artifact"]
    assert (first["name"], first["size"], first["media"]) == ("model.json", 2, "application/json")
    assert (second["name"], second["media"]) == ("other", "x/y")
    path = Path(store.find(first["$artifact"]))
    assert path.relative_to(tmp_path / "a store").parts[0] == "sha256"
    assert path.read_text() == "{}"
    assert not os.access(path, os.W_OK) or os.getuid() == 0
    assert [found.name for found in path.parents[1].iterdir()] == [path.parent.name]  # nothing unfinished is left
    with pytest.raises(ArtifactMissingError, match="is not in"):
        store.find("sha256:" + "0" * 64)
    with pytest.raises(ValueError, match="'sha256:12' is not a digest"):
        store.path("sha256:12")
    with pytest.raises(ValueError, match="reaches artifacts in folders only, not at 's3://bucket'"):
        FileStore("s3://bucket")


def test_a_store_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_fd: int) -> None:
        raise OSError("disk")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="disk"):
        FileStore(str(tmp_path)).put(b"x")

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_artifacts_are_values() -> None:
    value = {"$artifact": "sha256:" + "1" * 64, "size": 3, "name": "m", "media": "x/y"}

    assert Artifact(value, None).value() == value
    assert Artifact(value, None) == Artifact({**value, "name": "other"}, None)
    assert len({Artifact(value, None), Artifact(value, None)}) == 1
    with pytest.raises(ArtifactMissingError, match="there is no run"):
        _ = Artifact(value, None).path


ARTIFACT = {"$artifact": "sha256:" + "1" * 64, "size": 1, "name": "x", "media": "x/y"}


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("any", [None, 1, [{}]], []),
        ("bool", [True, False], [1, None, "true"]),
        ("int", [0, -1], [True, 1.0, "1", None]),
        ("float", [0, 1.5], [True, "1", None]),
        ("str", ["", "x"], [1, None, []]),
        ("artifact", [ARTIFACT], ["path", {}, None, {"$artifact": 1}]),
        ("list", [[], [1, "x"]], [{}, "x", None]),
        ("list[int]", [[], [1]], [[1.5], ["1"], [None], {}]),
        ("dict", [{}, {"a": None}], [[], ARTIFACT]),
        ("dict[list[float]]", [{"a": [1, 2.5]}], [{"a": 1}, {"a": ["x"]}]),
    ],
)
def test_types(text: str, good: list[Any], bad: list[Any]) -> None:
    declared = parse_type(text)

    assert [problem(value, declared, "x") for value in good] == [None] * len(good)
    assert all(problem(value, declared, "x") for value in bad)
    assert spell(declared) == {"list": "list[any]", "dict": "dict[any]"}.get(text, text)


def test_types_mean_the_same_on_both_sides() -> None:
    """The core checks values where it has them; the executor's side must not be of another opinion."""
    from meson_core.spec.types import check_value
    from meson_core.spec.types import parse_type as core

    values = [None, True, 1, 1.5, "x", [], [1], ["x"], [1.5, 1], {}, {"a": 1}, {"a": [1]}, ARTIFACT, [ARTIFACT]]
    for text in (
        "any",
        "bool",
        "int",
        "float",
        "str",
        "artifact",
        "list",
        "list[int]",
        "list[any]",
        "dict",
        "dict[artifact]",
    ):
        for value in values:
            if text.startswith("dict") and value is ARTIFACT:
                continue  # an artifact is no dict to a step's author
            assert (problem(value, parse_type(text), "") is None) == (check_value(value, core(text)) is None), (
                text,
                value,
            )


def test_nothing_declared_accepts_anything() -> None:
    check({"a": 1}, {})
    with pytest.raises(OutputError, match="it returned the outputs b, c, which is not declared"):
        check({"a": 1, "b": 2, "c": 3}, {"a": "int"})


@pytest.mark.parametrize(
    ("line", "fraction", "message", "facts"),
    [
        ("0.35", 0.35, None, 0),
        ("0.35 reading the ratings", 0.35, "reading the ratings", 0),
        ("35%", 0.35, None, 0),
        ("100 % done", 1.0, "% done", 0),
        (".5 x", 0.5, "x", 0),
        ("7", 1.0, None, 0),
        ("reading", None, "reading", 0),
        ("1.2.3 is out", None, "1.2.3 is out", 0),
        ("", None, None, 0),
        ('{"progress": 0.5, "message": "m"}', 0.5, "m", 0),
        ('{"progress": "x"}', None, None, 0),
        ('{"progress": true, "message": 7}', None, "7", 0),
        ('{"progress": NaN}', None, None, 0),
        ('{"message": "m"}', None, "m", 0),
        ('{"emit": "a", "value": [1]}', None, None, 1),
        ('{"emit": "a"}', None, None, 1),
        (
            '{"emit": "a", "value": NaN}',
            None,
            "a value that was emitted is not JSON, or longer than 65536 characters",
            0,
        ),
        ('{"link": "a", "url": "http://x"}', None, None, 1),
        ('{"other": 1}', None, '{"other": 1}', 0),
        ("{not json", None, "{not json", 0),
        ("x" * 1000, None, "x" * 500, 0),
        ("[1]", None, "[1]", 0),
    ],
)
def test_progress_lines(line: str, fraction: float | None, message: str | None, facts: int) -> None:
    news = parse(line)

    assert (news.fraction, news.message, len(news.facts)) == (fraction, message, facts)


def test_a_board_tells_the_latest() -> None:
    fd = os.memfd_create("board")
    os.ftruncate(fd, SIZE)
    writer, reader = Board(fd), Board(fd)
    os.close(fd)
    writer.mark(7, 123.5)
    turn = reader.turn()
    writer.progress(7, 0.5, "häl" + "f" * 2000)

    assert reader.marked() == (7, 123.5)
    assert reader.turn() != turn
    number, fraction, message = reader.progressed() or (0, None, None)
    assert (number, fraction) == (7, 0.5)
    assert message is not None
    assert message.startswith("hälfff")
    assert len(message.encode()) == 1000
    writer.progress(8, None, None)
    assert reader.progressed() == (8, None, None)
    writer.close()
    reader.close()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".hidden", "x\0", "x\n"])
def test_names_of_secrets_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(SecretMissingError, match="cannot be the name of a secret"):
        Secrets(str(tmp_path), {}).resolve(name)


def test_secrets_are_read_anew(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    secrets = Secrets(str(tmp_path), {"MESON_SECRET_given": "g", "OTHER": "x"})
    assert secrets.resolve("token") == "one"
    (tmp_path / "token").write_text("two")
    assert secrets.resolve("token") == "two"
    assert secrets.resolve("given") == "g"
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(SecretMissingError, match="the secret 'binary' cannot be read on this machine"):
        secrets.resolve("binary")
    with pytest.raises(SecretMissingError, match="there is no MESON_SECRET_OTHER"):
        secrets.resolve("OTHER")
