"""Owns the proof that the step kind `r` passes the kit, and that its options refuse what cannot work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import ValidationError

from meson_core.ports import InputOf, SecretNamed
from meson_core.testing import ProgramKindKit
from meson_r import R, ROptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class TestScript(ProgramKindKit):
    kind = R()
    options: ClassVar[Mapping[str, Any]] = {"script": "cat('hello')", "secrets": {"TOKEN": "token"}}
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = [{}, {"script": "1", "file": "a.R"}, {"script": ""}]


class TestFile(ProgramKindKit):
    kind = R()
    options: ClassVar[Mapping[str, Any]] = {"file": "r/train.R", "arguments": ["a", {"input": "x"}], "cwd": "project"}
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = [{"file": "/etc/passwd"}, {"file": "../x.R"}]


WRONG = [
    ({}, "give either `file` or `script`: neither is there"),
    ({"file": "x.R", "script": "1"}, "give either `file` or `script`: both are there"),
    ({"file": "/srv/x.R"}, "'/srv/x.R' is not in the project"),
    ({"file": "a/../../x.R"}, "is not in the project"),
    ({"script": "1", "cwd": "/tmp"}, "'work' or 'project'"),
    ({"script": "1", "rscript": ""}, "at least 1 character"),
    ({"script": "1", "arguments": [5]}, "valid string"),
    ({"script": "1", "arguments": [{"inputs": "x"}]}, "Extra inputs are not permitted"),
    ({"script": "1", "env": {"A=B": "c"}}, "'A=B' cannot be the name of a variable"),
    ({"script": "1", "env": {"MESON_RSCRIPT": "c"}}, "MESON_RSCRIPT is one of Meson's own variables"),
    ({"script": "1", "env": {"A": "c"}, "secrets": {"A": "s"}}, "A is both a variable and a secret"),
    ({"script": "1", "scirpt": "2"}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_what_is_wrong_is_found_before_anything_runs(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ROptions.model_validate(options)


def test_inputs_and_secrets_are_filled_in_on_the_machine() -> None:
    """An argument may be an input; a secret is never among the arguments, which every user of the machine can read."""
    options = {
        "script": "1",
        "arguments": ["a", {"input": "x"}],
        "secrets": {"TOKEN": "t"},
        "rscript": "/opt/R/bin/Rscript",
    }

    program = R().work(ROptions.model_validate(options))

    assert ("sh", "meson/start.sh", "/opt/R/bin/Rscript", "work", "", "a", InputOf("x")) == program.argv
    assert SecretNamed("t") == program.env["TOKEN"]
    assert {"script.R", "meson/meson.R", "meson/start.sh"} == set(program.files)
