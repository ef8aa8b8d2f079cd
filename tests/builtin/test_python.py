"""Owns the promises of the step kind `python`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from meson_core.builtin.python import Python
from meson_core.ports import ProgramKind, PythonCall

KIND = Python()


@pytest.mark.parametrize(
    "options",
    [
        {"function": "train", "module": "flows.train"},
        {"function": "Steps.train", "file": "flows/train.py"},
        {"function": "train", "source": "def train(): ..."},
        {"function": "größe", "module": "métier"},
    ],
)
def test_the_options_are_the_call(options: dict[str, str]) -> None:
    assert isinstance(KIND, ProgramKind)
    assert KIND.work(KIND.Options(**options)) == PythonCall(**options)


WRONG = [
    ({"function": "f"}, "give one of `module`, `file` and `source`: none is there"),
    (
        {"function": "f", "module": "m", "file": "f.py"},
        "give one of `module`, `file` and `source`: module and file are there",
    ),
    ({"module": "m"}, "Field required"),
    ({"function": "f()", "module": "m"}, r"'f\(\)' is not a dotted name"),
    ({"function": "", "module": "m"}, "'' is not a dotted name"),
    ({"function": "f", "module": "m-n"}, "'m-n' is not a dotted name"),
    ({"function": "f", "module": ".m"}, "'.m' is not a dotted name"),
    ({"function": "f", "file": "/etc/f.py"}, "'/etc/f.py' is not inside the project: give a path relative to its root"),
    ({"function": "f", "file": "../f.py"}, "'../f.py' is not inside the project"),
    ({"function": "f", "module": "m", "args": []}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_what_is_wrong_is_found_before_anything_runs(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        KIND.Options(**options)
