"""Owns the promises of the pytest plugin: it costs nothing until it is used, and a plugin's kit is three lines."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

import meson_core.testing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow]


def run_pytest(folder: Path, code: str) -> str:
    """Run pytest on one file, as a plugin author would, in a project that is not ours."""
    (folder / "test_mine.py").write_text(textwrap.dedent(code), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_it_imports_nothing_that_is_not_used(tmp_path: Path) -> None:
    """Every pytest of the environment loads it."""
    code = """
        import sys
        def test_nothing():
            loaded = {name for name in sys.modules if name.startswith("meson_")}
            assert loaded - {"meson_core.testing", "meson_core.testing.pytest_plugin"} <= {
                "meson_core", "meson_runtime", "meson_runtime.declare"
            }
            assert not {"pydantic", "sqlalchemy"} & set(sys.modules)
    """

    assert "1 passed" in run_pytest(tmp_path, code)


def test_a_kit_is_three_lines(tmp_path: Path) -> None:
    code = """
        from meson_core.builtin.shell import Shell
        from meson_core.testing import ProgramKindKit

        class TestMine(ProgramKindKit):
            kind = Shell()
            options = {"script": "true"}
    """

    assert "9 passed" in run_pytest(tmp_path, code)


def test_a_check_that_fails_tells_what_it_saw(tmp_path: Path) -> None:
    """The asserts of a kit are explained like those of the author's own tests."""
    code = """
        from meson_core.builtin.shell import Shell
        from meson_core.ports import Program
        from meson_core.testing import ProgramKindKit

        class Mine(Shell):
            def work(self, options):
                return Program(("sh",), files={"/etc/passwd": ""})

        class TestMine(ProgramKindKit):
            kind = Mine()
            options = {"script": "true"}
    """
    output = run_pytest(tmp_path, code)

    assert "1 failed, 8 passed" in output
    assert "assert ['/etc/passwd'] == []" in output


def test_its_fixtures_work(tmp_path: Path) -> None:
    code = """
        import asyncio

        def test_time(meson_clock):
            meson_clock.run(asyncio.sleep(3600))
            assert meson_clock.now() - meson_clock.start >= 3600

        def test_service(meson_fake_service):
            one, other = meson_fake_service(), meson_fake_service(finds=False)
            assert one.report().jobs == other.report().jobs == {}
    """

    assert "2 passed" in run_pytest(tmp_path, code)


def test_the_names_that_authors_need_are_at_the_front() -> None:
    for name in meson_core.testing.__all__:
        assert getattr(meson_core.testing, name).__name__ == name
    with pytest.raises(AttributeError):
        meson_core.testing.nonsense  # noqa: B018
