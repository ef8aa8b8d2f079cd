"""Owns the tests of step kinds in a check: missing and broken plugins, options, what a kind fixes."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field

from meson_core.errors import InvalidWorkflowError, PluginBrokenError, PluginMissingError
from meson_core.spec import BrokenKind, KindFacts, Kinds, OptionProblem, check, load
from tests.spec.authoring import Data, problems, step, workflow


class ShellOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    script: str
    shell: str = "bash"
    env: dict[str, str] = Field(default_factory=dict)


KINDS: Kinds = {
    "shell": KindFacts.of("shell", ShellOptions),
    "sql": KindFacts("sql", outputs={"rows": "int"}, open_outputs=False, inputs={"limit": "int"}),
    "spark": BrokenKind("spark", "ImportError: no module named 'pyspark'", "meson-spark 0.2"),
    "odd": KindFacts("odd", validate=lambda _: [OptionProblem((), "they never please")]),
}

PLUGINS: list[tuple[str, Data, list[str]]] = [
    (
        "a kind that is not installed",
        step("b", kind="shel"),
        ["step 'b': no step kind 'shel' is installed\n  hint: did you mean 'shell'? (did not load: spark)"],
    ),
    (
        "a kind that is like nothing",
        step("b", kind="kubernetes"),
        [
            (
                "step 'b': no step kind 'kubernetes' is installed"
                "\n  hint: installed are: odd, shell, sql (did not load: spark)"
            )
        ],
    ),
    (
        "a kind whose plugin is broken",
        step("b", kind="spark"),
        [
            (
                "step 'b': the plugin 'spark' of its kind is installed, but did not load: "
                "ImportError: no module named 'pyspark'\n  hint: `mesonctl plugins doctor` tells more"
            )
        ],
    ),
    (
        "options",
        step("b", options={"scirpt": "x", "env": {"A": 1}}),
        [
            "step 'b': option script: is missing",
            "step 'b': option env → A: must be a text, got 1",
            "step 'b': option scirpt: there is no such option\n  hint: did you mean 'script'?",
        ],
    ),
    (
        "an option that is like nothing",
        step("b", options={"script": "x", "zzz": 1}),
        ["step 'b': option zzz: there is no such option\n  hint: there are: script, shell, env"],
    ),
    ("options as a whole", step("b", kind="odd"), ["step 'b': options: they never please"]),
    (
        "an output that the kind does not have",
        step("b", kind="sql", outputs="row: int"),
        ["step 'b': steps of kind 'sql' have no output 'row'\n  hint: did you mean 'rows'?"],
    ),
    (
        "an input whose type the kind fixes",
        step("b", kind="sql", inputs={"limit": "'x'"}),
        ["step 'b': input 'limit': `'x'` gives str, int is needed"],
    ),
    (
        "a value whose type the kind fixes",
        step("b", kind="sql", inputs={"limit": 2.5}),
        ["step 'b': input 'limit': expected int, got float 2.5"],
    ),
]


@pytest.mark.parametrize(("data", "expected"), [case[1:] for case in PLUGINS], ids=[case[0] for case in PLUGINS])
def test_plugins(data: Data, expected: list[str]) -> None:
    """A missing or broken plugin, and options that a kind does not take, are found before the run."""
    assert problems(workflow(data), KINDS) == expected


def test_plugins_are_errors_of_plugins() -> None:
    """Whoever handles a missing plugin can ask the problem for its name."""
    with pytest.raises(InvalidWorkflowError) as caught:
        check(load(workflow(step("a", kind="spark"), step("b", kind="hive"))), KINDS)

    broken, missing = caught.value.problems
    assert isinstance(broken, PluginBrokenError)
    assert (broken.plugin, broken.distribution) == ("spark", "meson-spark 0.2")
    assert isinstance(missing, PluginMissingError)
    assert missing.plugin == "hive"


def test_no_kinds_at_all() -> None:
    assert problems(workflow(step("a")), {}) == [
        "step 'a': no step kind 'shell' is installed\n  hint: installed are: none"
    ]


def test_kinds_give_outputs() -> None:
    """Outputs that the kind fixes are there without being declared, and stay in the checked workflow."""
    data = workflow(step("q", kind="sql"), step("b", inputs={"x": "q.rows"}, options={"script": "x"}))
    done = check(load(data), KINDS)

    assert done.body[0].model_dump()["outputs"] == {"rows": "int"}
    assert done.body[1].after == ("q",)
    assert check(done, KINDS) == done
    assert check(done) == done
