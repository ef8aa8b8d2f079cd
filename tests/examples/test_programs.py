"""Owns the proof that the example's two programs say what is wrong, and leave nothing half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import duckdb
import pytest

import fetch_data
import query
from tests.examples.movielens import EXAMPLE, cleansed

if TYPE_CHECKING:
    from pathlib import Path


def run(
    program: str, *arguments: str, cwd: Path = EXAMPLE, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLE / program), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )


def test_values_are_bound_not_pasted(tmp_path: Path) -> None:
    """A value that looks like SQL is a value."""
    target = tmp_path / "out.parquet"

    rows = query.run_query("SELECT $name AS name", {"name": "'; DROP TABLE users --"}, target)

    assert 1 == rows
    with duckdb.connect() as connection:
        assert [("'; DROP TABLE users --",)] == connection.read_parquet(str(target)).fetchall()


def test_the_query_program_takes_json_and_gives_json(tmp_path: Path) -> None:
    """A step of any language has its inputs in one file and its outputs in another."""
    (tmp_path / "numbers.sql").write_text("SELECT unnest(range($n::INTEGER)) AS n", encoding="utf-8")
    (tmp_path / "in.json").write_text('{"n": 7}', encoding="utf-8")

    done = run("query.py", "numbers.sql", "in.json", "out.json", cwd=tmp_path)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    outputs = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {"numbers": str(tmp_path / "numbers.parquet"), "rows": 7} == outputs
    with duckdb.connect() as connection:
        assert [(number,) for number in range(7)] == connection.read_parquet(outputs["numbers"]).fetchall()


@pytest.mark.parametrize(
    ("arguments", "inputs", "code", "message"),
    [
        ([], "{}", 2, "usage: query.py"),
        (["no-such.sql", "in.json", "out.json"], "{}", 1, "No such file"),
        ([str(EXAMPLE / "cohort.sql"), "no-such.json", "out.json"], "{}", 1, "No such file"),
        ([str(EXAMPLE / "cohort.sql"), "in.json", "out.json"], "{", 1, "Expecting property name"),
        ([str(EXAMPLE / "cohort.sql"), "in.json", "out.json"], '{"source": "nowhere"}', 1, "min_age"),
        (
            [str(EXAMPLE / "cohort.sql"), "in.json", "out.json"],
            '{"source": "nowhere", "min_age": 1, "min_ratings": 1}',
            1,
            "nowhere/ml-100k",
        ),
    ],
)
def test_the_query_program_says_what_is_wrong(
    tmp_path: Path, arguments: list[str], inputs: str, code: int, message: str
) -> None:
    """A person reads what to mend, no traceback, and no outputs are left."""
    (tmp_path / "in.json").write_text(inputs, encoding="utf-8")

    done = run("query.py", *arguments, cwd=tmp_path)

    assert code == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert ["in.json"] == [path.name for path in tmp_path.iterdir()]


def test_the_data_is_fetched_once() -> None:
    """What is there and right is not fetched again, index or no index."""
    cleansed()

    done = run("fetch_data.py", env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""})

    assert 0 == done.returncode, done.stderr
    assert [] == fetch_data.wrong_files(fetch_data.TARGET)
    assert "100,000 ratings" in done.stdout
    assert "Fetching" not in done.stdout


def test_a_wheel_with_other_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that differ from the example's have another cause than the example."""
    shelf = tmp_path / "wheels"
    shelf.mkdir()
    with zipfile.ZipFile(shelf / "recbole-1.2.1-py3-none-any.whl", "w") as wheel:
        for name in fetch_data.DIGESTS:
            wheel.writestr(f"{fetch_data.INSIDE}/{name}", "other numbers")
        wheel.writestr("recbole-1.2.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n")
        wheel.writestr(
            "recbole-1.2.1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("recbole-1.2.1.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    target = tmp_path / "data" / "ml-100k"

    with pytest.raises(fetch_data.FetchError, match=r"holds another ml-100k\.inter, ml-100k\.item, ml-100k\.user than"):
        fetch_data.fetch(target)

    assert [] == list(target.parent.iterdir())


def test_no_index_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a train, the scientist reads what is missing."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    with pytest.raises(fetch_data.FetchError, match=r"pip could not download recbole==1\.2\.1"):
        fetch_data.fetch(tmp_path / "data" / "ml-100k")


def test_a_damaged_file_is_seen(tmp_path: Path) -> None:
    """A download that was cut off, or a file that was edited, is fetched again."""
    cleansed()
    for name in fetch_data.DIGESTS:
        (tmp_path / name).write_bytes((fetch_data.TARGET / name).read_bytes())
    (tmp_path / "ml-100k.user").write_text("user_id:token\n", encoding="utf-8")
    (tmp_path / "ml-100k.item").unlink()

    assert ["ml-100k.item", "ml-100k.user"] == fetch_data.wrong_files(tmp_path)
