"""Owns the tests of which files of a project are the code of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.client.step_code import bundle_files, code_files, digest_of
from meson_core.ports import Program, PythonCall

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = {
    "flow.py": "from steps import train\nimport json\n",
    "steps/__init__.py": "",
    "steps/train.py": "from . import shared\nfrom .deep.end import value\n",
    "steps/shared.py": "",
    "steps/deep/__init__.py": "",
    "steps/deep/end.py": "import outside\n",
    "steps/unused.py": "import shared\n",
    "outside.py": "",
    "other.py": "import flow\n",
    "dynamic.py": "from importlib import import_module\n",
    "starts.py": "import subprocess\n",
    "evaluates.py": "import outside\nexec('import other')\n",
    "broken.py": "def (",
    "src/pack/__init__.py": "from pack.inner import x\n",
    "src/pack/inner.py": "x = 1\n",
    "script/run.py": "import beside\n",
    "script/beside.py": "",
    "query.sql": "SELECT 1",
}
PYTHON = {path for path in PROJECT if path.endswith(".py")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, text in PROJECT.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    bundle_files.cache_clear()
    return tmp_path


@pytest.mark.parametrize(
    ("call", "reached"),
    [
        (
            PythonCall("f", module="flow"),
            {"flow.py", "steps/__init__.py", "steps/train.py", "steps/shared.py", "steps/deep/__init__.py",
             "steps/deep/end.py", "outside.py"},
        ),
        (PythonCall("f", module="outside"), {"outside.py"}),
        (PythonCall("f", file="outside.py"), {"outside.py"}),
        (PythonCall("f", module="pack", path="src"), {"src/pack/__init__.py", "src/pack/inner.py"}),
        (PythonCall("f", file="script/run.py"), {"script/run.py", "script/beside.py"}),
        (PythonCall("f", source="import outside\ndef f(): ..."), {"outside.py"}),
        (PythonCall("f", source="def f(): ..."), set()),
        # What cannot be told takes everything.
        (PythonCall("f", module="dynamic"), PYTHON),
        (PythonCall("f", module="starts"), PYTHON),
        (PythonCall("f", module="evaluates"), PYTHON),
        (PythonCall("f", module="broken"), PYTHON),
        (PythonCall("f", module="installed.elsewhere"), PYTHON),
        (PythonCall("f", source="import subprocess"), PYTHON),
        (Program(("sh", "run.sh")), PYTHON),
    ],
    ids=lambda value: "" if isinstance(value, set) else repr(value),
)  # fmt: skip
def test_a_python_step_is_what_it_imports_and_all_that_is_not_python(
    folder: Path, call: PythonCall | Program, reached: set[str]
) -> None:
    assert set(code_files(folder, call)) == reached | {"query.sql"}


def test_the_digest_tells_contents_names_and_modes_apart(folder: Path) -> None:
    digests = {digest_of(bundle_files(folder))}
    for change in (
        lambda: (folder / "query.sql").write_text("SELECT 2"),
        lambda: (folder / "query.sql").rename(folder / "other.sql"),
        lambda: (folder / "other.sql").chmod(0o755),
        lambda: (folder / "link").symlink_to("other.sql"),
    ):
        change()
        bundle_files.cache_clear()
        digests.add(digest_of(bundle_files(folder)))

    assert len(digests) == 5
    bundle_files.cache_clear()
    assert digest_of(bundle_files(folder)) in digests


def test_what_a_step_leaves_in_its_bundle_is_not_its_code(folder: Path) -> None:
    """Else the second run of the same code would be another one, because the first has left its byte code."""
    before = code_files(folder, Program(argv=("true",)))
    (folder / "steps" / "__pycache__").mkdir()
    (folder / "steps" / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"code")
    bundle_files.cache_clear()

    assert before == code_files(folder, Program(argv=("true",)))
