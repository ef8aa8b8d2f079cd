"""Owns the proof that the example's two programs say what is wrong, and leave nothing half done."""

from __future__ import annotations

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


def run(program: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLE / program), *arguments],
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


def test_the_query_program_prints_how_many_rows_there_are(tmp_path: Path) -> None:
    """The step reads its output from there."""
    sql = tmp_path / "q.sql"
    sql.write_text("SELECT unnest(range($n::INTEGER)) AS n", encoding="utf-8")

    done = run("query.py", str(sql), str(tmp_path / "out.parquet"), "n=7")

    assert (0, "7\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "usage: query.py"),
        (("q.sql", "out.parquet", "n"), 2, "usage: query.py"),
        (("no-such.sql", "out.parquet"), 1, "No such file"),
        (
            (str(EXAMPLE / "cohort.sql"), "out.parquet", "source=nowhere", "min_age=1", "min_ratings=1"),
            1,
            "nowhere/ml-100k",
        ),
    ],
)
def test_the_query_program_says_what_is_wrong(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """A person reads what to mend, and no traceback."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "query.py"), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert code == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == list(tmp_path.iterdir())


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
