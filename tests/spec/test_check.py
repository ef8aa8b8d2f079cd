"""Owns the tests of mistakes: each is found before anything runs, and told with its place, its value and a way out."""

from __future__ import annotations

from typing import Any

import pytest

from meson_core.errors import InvalidWorkflowError
from meson_core.spec import check, load
from tests.spec.authoring import Data, choose, for_each, problems, repeat, step, subworkflow, workflow

A = step("a", outputs="n: int, x: float, s: str, ok: bool, items: list[int], model: artifact, d: dict[float]")
INNER = workflow(step("i", outputs="n: int"), name="inner", params={"alpha": "float"}, outputs={"n": "i.n"})


MISTAKES: list[tuple[str, Data, list[str]]] = [
    # --- names -------------------------------------------------------------------------------------------------------
    (
        "a name twice",
        workflow(step("a"), for_each("f", {"v": [1]}, step("a"))),
        ["step 'a': there is already a step 'a' in workflow 'wf'\n  hint: give one of them another name"],
    ),
    (
        "a name twice, one after the other",
        workflow(step("a"), step("a", after=["a"])),
        ["step 'a': there is already a step 'a' in workflow 'wf'\n  hint: give one of them another name"],
    ),
    (
        "a name twice, with places",
        workflow(
            step("a", source={"file": "wf.py", "line": 3}),
            choose("c", ("true", [step("b")]), otherwise=[repeat("a", "False", step("d"))], source={"file": "wf.py"}),
        ),
        ["repeat 'a': there is already a step 'a' (wf.py:3) in workflow 'wf'\n  hint: give one of them another name"],
    ),
    (
        "a step and a parameter",
        workflow(step("alpha"), params={"alpha": "int"}),
        [
            (
                "step 'alpha' has the name of a parameter of workflow 'wf'"
                "\n  hint: rename one: expressions could not tell them apart"
            )
        ],
    ),
    (
        "a loop variable and a parameter",
        workflow(for_each("f", {"alpha": [1]}, step("b")), params={"alpha": "int"}),
        [
            (
                "for_each 'f': loop variable 'alpha' has the name of a parameter of workflow 'wf'"
                "\n  hint: rename one: expressions could not tell them apart"
            )
        ],
    ),
    (
        "a loop variable and a step",
        workflow(step("v"), for_each("f", {"v": [1]}, step("b"))),
        [
            (
                "for_each 'f': loop variable 'v' has the name of step 'v'"
                "\n  hint: rename one: expressions could not tell them apart"
            )
        ],
    ),
    (
        "a loop variable and one around it",
        workflow(for_each("f", {"v": [1]}, for_each("g", {"v": [1]}, step("b")))),
        [
            (
                "for_each 'g': loop variable 'v' has the name of the loop variable of for_each 'f' around it"
                "\n  hint: rename one: expressions could not tell them apart"
            )
        ],
    ),
    (
        "a word of the language",
        workflow(step("import"), for_each("f", {"true": [1]}, step("b")), params={"lambda": "int"}),
        [
            (
                "workflow 'wf': parameter 'lambda': that is a word of the expression language"
                "\n  hint: expressions could not refer to it; take another name"
            ),
            (
                "step 'import': that is a word of the expression language"
                "\n  hint: expressions could not refer to it; take another name"
            ),
            (
                "for_each 'f': loop variable 'true': that is a word of the expression language"
                "\n  hint: expressions could not refer to it; take another name"
            ),
        ],
    ),
    # --- after -------------------------------------------------------------------------------------------------------
    (
        "after an unknown node",
        workflow(A, step("b", after=["aa"])),
        ["step 'b': after 'aa': there is no such node\n  hint: did you mean 'a'?"],
    ),
    (
        "after itself",
        workflow(step("b", after=["b"])),
        ["step 'b' comes after itself\n  hint: remove it from `after`"],
    ),
    (
        "after a node further in",
        workflow(A, for_each("f", {"v": [1]}, step("b")), step("c", after=["b"])),
        ["step 'c': after 'b': step 'b' does not stand beside it\n  hint: `after` names siblings: a, f"],
    ),
    (
        "after a node further out",
        workflow(A, for_each("f", {"v": [1]}, step("b", after=["a"]))),
        ["step 'b': after 'a': step 'a' does not stand beside it\n  hint: `after` names siblings: there are none"],
    ),
    # --- cycles ------------------------------------------------------------------------------------------------------
    (
        "a cycle by hand",
        workflow(step("a", after=["c"]), step("b", after=["a"]), step("c", after=["b"]), step("d", after=["c"])),
        [
            (
                "step 'a' → step 'b' → step 'c' → step 'a': these wait for each other"
                "\n  hint: step 'a' comes after 'c'; step 'b' comes after 'a'; step 'c' comes after 'b'"
            )
        ],
    ),
    (
        "a cycle through references",
        workflow(
            for_each("f", {"v": "b.items"}, step("a", outputs="n: int")),
            step("b", outputs="items: list[int]", inputs={"x": "sum(a.n)"}),
        ),
        [
            (
                "for_each 'f' → step 'b' → for_each 'f': these wait for each other"
                "\n  hint: for_each 'f': variable 'v' is `b.items`; step 'b': input 'x' is `a.n`"
            )
        ],
    ),
    (
        "two cycles",
        workflow(
            step("a", after=["b"]),
            step("b", after=["a"]),
            repeat("r", "False", step("c", after=["d"]), step("d", after=["c"])),
        ),
        [
            (
                "step 'a' → step 'b' → step 'a': these wait for each other"
                "\n  hint: step 'a' comes after 'b'; step 'b' comes after 'a'"
            ),
            (
                "step 'c' → step 'd' → step 'c': these wait for each other"
                "\n  hint: step 'c' comes after 'd'; step 'd' comes after 'c'"
            ),
        ],
    ),
    (
        "a reference to itself",
        workflow(step("a", outputs="n: int", inputs={"x": "a.n"})),
        [
            (
                "step 'a': input 'x': `a.n`: step 'a' refers to itself"
                "\n  hint: in a repeat, carry hands a value to the next iteration"
            )
        ],
    ),
    # --- unknown names in expressions --------------------------------------------------------------------------------
    (
        "an unknown output",
        workflow(A, step("b", inputs={"x": "a.modle"})),
        ["step 'b': input 'x': `a.modle`: step 'a' has no output 'modle'\n  hint: did you mean 'model'?"],
    ),
    (
        "an unknown parameter",
        workflow(A, step("b", inputs={"x": "alhpa * 2"}), params={"alpha": "float"}),
        [
            (
                "step 'b': input 'x': `alhpa * 2`: there is no step, parameter or loop variable 'alhpa'"
                "\n  hint: did you mean 'alpha'?"
            )
        ],
    ),
    (
        "an unknown step",
        workflow(step("train", outputs="n: int"), outputs={"best": "tarin.n"}),
        [
            (
                "workflow 'wf': output 'best': `tarin.n`: there is no step, parameter or loop variable 'tarin'"
                "\n  hint: did you mean 'train'?"
            )
        ],
    ),
    (
        "a step as a value",
        workflow(A, step("c"), step("b", inputs={"x": "a", "y": "c[0]"})),
        [
            (
                "step 'b': input 'x': `a`: step 'a' is not a value; an expression names one of its outputs"
                "\n  hint: write a.n"
            ),
            (
                "step 'b': input 'y': `c[0]`: step 'c' is not a value; an expression names one of its outputs"
                "\n  hint: it declares no outputs"
            ),
        ],
    ),
    (
        "a composite as a value",
        workflow(for_each("f", {"v": [1]}, step("b")), step("c", inputs={"x": "f.n"})),
        ["step 'c': input 'x': `f.n`: for_each 'f' has no value of its own\n  hint: name a step inside it"],
    ),
    (
        "an expression that does not parse",
        workflow(A, step("b", inputs={"x": "a.n +"}), choose("c", ("lne(a.items) > 1", [step("d")]))),
        [
            "step 'b': input 'x': `a.n +`: invalid syntax, at column 6",
            "choose 'c': when 1: `lne(a.items) > 1`: there is no function 'lne', at column 1\n  hint: did you mean 'len'?",
        ],
    ),
    # --- out of scope ------------------------------------------------------------------------------------------------
    (
        "a loop variable from outside",
        workflow(for_each("f", {"v": [1]}, step("b")), step("c", inputs={"x": "v"})),
        [
            (
                "step 'c': input 'x': `v`: 'v' is a loop variable of for_each 'f' and is seen only inside it"
                "\n  hint: a step inside can hand it on as an output"
            )
        ],
    ),
    (
        "the other branch",
        workflow(choose("c", ("true", [step("b", outputs="n: int")]), otherwise=[step("d", inputs={"x": "b.n"})])),
        [
            (
                "step 'd': input 'x': `b.n`: step 'b' is in another branch of choose 'c'; only one of them is taken"
                "\n  hint: refer to something before the choose, or to both from after it"
            )
        ],
    ),
    (
        "the other branch, from deep inside",
        workflow(
            choose(
                "c",
                ("true", [step("b", outputs="n: int")]),
                ("true", [repeat("r", "b.n > 1", for_each("f", {"v": "[b.n]"}, step("d")))]),
            )
        ),
        [
            (
                "repeat 'r': until: `b.n > 1`: step 'b' is in another branch of choose 'c'; only one of them is taken"
                "\n  hint: refer to something before the choose, or to both from after it"
            ),
            (
                "for_each 'f': variable 'v': `[b.n]`: step 'b' is in another branch of choose 'c'; only one of them is taken"
                "\n  hint: refer to something before the choose, or to both from after it"
            ),
        ],
    ),
    (
        "a condition on what it decides",
        workflow(choose("c", ("b.ok", [step("b", outputs="ok: bool")]))),
        [
            (
                "choose 'c': when 1: `b.ok`: step 'b' is inside choose 'c', which this decides on before it starts"
                "\n  hint: refer to something that comes before it"
            )
        ],
    ),
    (
        "items from inside",
        workflow(for_each("f", {"v": "b.items"}, step("b", outputs="items: list[int]"))),
        [
            (
                "for_each 'f': variable 'v': `b.items`: step 'b' is inside for_each 'f', which this decides on before it starts"
                "\n  hint: refer to something that comes before it"
            )
        ],
    ),
    (
        "into a subworkflow",
        workflow(subworkflow("sub", INNER, inputs={"alpha": 1}), step("b", inputs={"x": "i.n"})),
        [
            "step 'b': input 'x': `i.n`: step 'sub.i' is inside subworkflow 'sub'\n  hint: that shows only its outputs: n",
        ],
    ),
    (
        "out of a subworkflow",
        workflow(
            A,
            subworkflow("sub", workflow(step("i", inputs={"x": "a.n", "y": "beta"}), name="inner")),
            params={"beta": "int"},
        ),
        [
            (
                "step 'sub.i': input 'x': `a.n`: step 'a' is outside of subworkflow 'sub'"
                "\n  hint: give the subworkflow a parameter, and pass the value as its input"
            ),
            (
                "step 'sub.i': input 'y': `beta`: 'beta' is a parameter outside of subworkflow 'sub'"
                "\n  hint: give the subworkflow a parameter of that name, and pass the value as its input"
            ),
        ],
    ),
    # --- repeat ------------------------------------------------------------------------------------------------------
    (
        "until sees only what is outside",
        workflow(A, repeat("r", "a.ok", step("b", outputs="ok: bool"))),
        [
            (
                "repeat 'r': until `a.ok` sees nothing of the iteration that ended, so it could never change"
                "\n  hint: refer to something inside the loop: b.ok"
            )
        ],
    ),
    (
        "until is always true",
        workflow(repeat("r", "True", step("b"))),
        [
            (
                "repeat 'r': until `True` sees nothing of the iteration that ended, so it could never change"
                "\n  hint: no step inside the loop has an output"
            )
        ],
    ),
    (
        "until inside a subworkflow",
        workflow(repeat("r", "i.n > 3", subworkflow("sub", INNER, inputs={"alpha": 1}))),
        [
            "repeat 'r': until: `i.n > 3`: step 'sub.i' is inside subworkflow 'sub'\n  hint: that shows only its outputs: n",
        ],
    ),
    (
        "a subworkflow without outputs",
        workflow(repeat("r", "i.n > 3", subworkflow("sub", workflow(step("i", outputs="n: int"), name="inner")))),
        [
            "repeat 'r': until: `i.n > 3`: step 'sub.i' is inside subworkflow 'sub'\n  hint: that shows only its outputs: none"
        ],
    ),
    (
        "a carried name that stands for nothing",
        workflow(
            repeat("r", "b.n > alpha", step("b", outputs="n: int"), carry={"alhpa": "b.n"}), params={"alpha": "int"}
        ),
        [
            (
                "repeat 'r' carries 'alhpa', but no parameter or loop variable around it has that name"
                "\n  hint: did you mean 'alpha'?"
            )
        ],
    ),
    (
        "a carried value of another type",
        workflow(
            repeat("r", "b.n > 1", step("b", outputs="n: int"), carry={"alpha": "str(b.n)"}), params={"alpha": "float"}
        ),
        ["repeat 'r': carry 'alpha': `str(b.n)` gives str, float is needed"],
    ),
    (
        "a wrong carried name, used",
        workflow(repeat("r", "alhpa > b.n", step("b", outputs="n: int"), carry={"alhpa": "b.n"})),
        [
            (
                "repeat 'r': until: `alhpa > b.n`: there is no step, parameter or loop variable 'alhpa'"
                "\n  hint: there are: b, r"
            ),
            (
                "repeat 'r' carries 'alhpa', but no parameter or loop variable around it has that name"
                "\n  hint: there are none here"
            ),
        ],
    ),
    (
        "a wrong name in a loop",
        workflow(
            for_each("f", {"region": "nope"}, repeat("r", "False", step("b", inputs={"x": "regoin", "y": "region"})))
        ),
        [
            (
                "for_each 'f': variable 'region': `nope`: there is no step, parameter or loop variable 'nope'"
                "\n  hint: there are: b, f, r"
            ),
            (
                "step 'b': input 'x': `regoin`: there is no step, parameter or loop variable 'regoin'"
                "\n  hint: did you mean 'region'?"
            ),
        ],
    ),
    # --- types -------------------------------------------------------------------------------------------------------
    (
        "conditions that are not",
        workflow(A, repeat("r", "b.n", step("b", outputs="n: int")), choose("c", ("a.items", [step("d")]))),
        [
            "repeat 'r': until: `b.n` gives int, not true or false\n  hint: compare it with something",
            "choose 'c': when 1: `a.items` gives list[int], not true or false\n  hint: compare it with something",
        ],
    ),
    (
        "items that are not",
        workflow(A, for_each("f", {"v": "a.n"}, step("b")), for_each("g", {"w": 3}, step("c"))),
        [
            "for_each 'g': loop variable 'w' takes a list, got 3",
            "for_each 'f': variable 'v': `a.n` gives int; the items of a for_each are a list",
        ],
    ),
    (
        "zipped lists of unequal length",
        workflow(for_each("f", {"v": [1, 2], "w": [1]}, step("b"), mode="zipped")),
        [
            (
                "for_each 'f': zipped variables need as many items each: v has 2, w has 1"
                "\n  hint: make them equally long, or use mode: crossed"
            )
        ],
    ),
    (
        "inputs of another type",
        workflow(
            A,
            step(
                "b", input_types={"x": "float", "y": "int", "m": "artifact"}, inputs={"x": "a.s", "y": 2.5, "m": "a.n"}
            ),
        ),
        [
            "step 'b': input 'y': expected int, got float 2.5",
            "step 'b': input 'x': `a.s` gives str, float is needed",
            "step 'b': input 'm': `a.n` gives int, artifact is needed",
        ],
    ),
    (
        "one value for each item",
        workflow(
            for_each("f", {"v": [1]}, step("t", outputs="loss: float, more: dict[int]")),
            step("b", input_types={"loss": "float"}, inputs={"loss": "t.loss", "x": "t.more.a"}),
        ),
        [
            "step 'b': input 'loss': `t.loss` gives list[float], float is needed",
            "step 'b': input 'x': `t.more.a`: a list[dict[int]] has no 'a'; one value for each item: take [0], or pluck()",
        ],
    ),
    (
        "values that do not go together",
        workflow(A, step("b", inputs={"x": "a.s + a.n", "y": "a.model < 3", "z": "mean(a.x)"})),
        [
            "step 'b': input 'x': `a.s + a.n`: a str and an int do not go together",
            "step 'b': input 'y': `a.model < 3`: an artifact and an int have no order",
            "step 'b': input 'z': `mean(a.x)`: takes a list, got a float",
        ],
    ),
    (
        "types that are none",
        workflow(
            step("b", outputs="n: integer", input_types={"x": "strin", "y": "foo"}, inputs={"x": 1, "y": "b.n"}),
            step("c", input_types={"x": "int"}, inputs={"x": "alpha"}),
            params={"alpha": "list[flaot]"},
        ),
        [
            "workflow 'wf': parameter 'alpha': 'list[flaot]' is not a type\n  hint: did you mean 'float'?",
            "step 'b': output 'n': 'integer' is not a type\n  hint: did you mean 'int'?",
            "step 'b': input 'x': 'strin' is not a type\n  hint: did you mean 'str'?",
            (
                "step 'b': input 'y': 'foo' is not a type"
                "\n  hint: there are: any, bool, int, float, str, artifact, list[…], dict[…]"
            ),
            (
                "step 'b': input 'y': `b.n`: step 'b' refers to itself"
                "\n  hint: in a repeat, carry hands a value to the next iteration"
            ),
        ],
    ),
    (
        "a default of another type",
        workflow(step("b"), params={"alpha": {"type": "float", "default": "x", "required": False}}),
        ["workflow 'wf': parameter 'alpha': its default: expected float, got str 'x'"],
    ),
    # --- subworkflows ------------------------------------------------------------------------------------------------
    (
        "inputs of a subworkflow",
        workflow(
            A,
            subworkflow("s1", INNER, inputs={"alhpa": 1}),
            subworkflow("s2", INNER, inputs={"alpha": "x + 1"}),
            subworkflow("s3", INNER, inputs={"alpha": "a.s"}),
            subworkflow("s4", INNER, inputs={"alpha": [1]}),
        ),
        [
            "subworkflow 's1': workflow 'inner' has no parameter 'alhpa'\n  hint: did you mean 'alpha'?",
            (
                "subworkflow 's1': parameter 'alpha' of workflow 'inner' needs a value"
                "\n  hint: add it to `inputs`, or give the parameter a default"
            ),
            "subworkflow 's4': input 'alpha': expected float, got list [1]",
            (
                "subworkflow 's2': input 'alpha': `x + 1`: there is no step, parameter or loop variable 'x'"
                "\n  hint: there are: a, s1, s2, s3, s4"
            ),
            "subworkflow 's3': input 'alpha': `a.s` gives str, float is needed",
        ],
    ),
    # --- resources, retries, options ---------------------------------------------------------------------------------
    (
        "resources",
        workflow(
            step(
                "b",
                resources={
                    "other": {"cpus": 2, "gpus": -1},
                    "constraints": ["zone = 'a'", "3 > 2", "gpus", "zone.x == 'a'", "gpus + 1", "'a' - zone > 1"],
                },
            )
        ),
        [
            "step 'b': resources: cpus is a field of its own, not one of `other`",
            "step 'b': resources: gpus must be ≥ 0, got -1",
            "step 'b': constraint `zone = 'a'`: invalid syntax, at column 6\n  hint: compare with ==",
            (
                "step 'b': constraint `3 > 2` names no attribute of an offer, so that it says nothing"
                '\n  hint: write for example zone == "a", or gpus >= 1'
            ),
            "step 'b': constraint `zone.x == 'a'`: zone has no parts; attributes are plain values",
            "step 'b': constraint `'a' - zone > 1`: `'a' - zone`: a str and an any do not go together",
        ],
    ),
    (
        "constraints that are not conditions",
        workflow(step("b", resources={"constraints": ["len(zone)", "zone in 3"]})),
        [
            "step 'b': constraint `len(zone)` gives int, not true or false\n  hint: compare it with something",
            "step 'b': constraint `zone in 3`: `zone in 3`: nothing is in an int",
        ],
    ),
    (
        "back-off",
        workflow(step("b", retry={"backoff_s": 60, "max_backoff_s": 5})),
        ["step 'b': retry: max_backoff_s 5 is below backoff_s 60"],
    ),
    (
        "options that are no JSON",
        workflow(step("b", options={"x": [1.0, float("nan")]})),
        ["body → b → options → x → #2: must be a finite number, got nan"],
    ),
]


@pytest.mark.parametrize(("data", "expected"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_mistakes(data: Data, expected: list[str]) -> None:
    """Every mistake gives its message, and no other."""
    assert problems(data) == expected


def test_problems_are_in_the_order_of_the_file() -> None:
    """All problems come at once, each with file and line: the author's, or of what is around it."""
    data = workflow(
        step("c", inputs={"x": "nope"}, source={"file": "wf.py", "line": 9}),
        for_each("f", {"v": "nope"}, step("d", after=["x"]), source={"file": "wf.py", "line": 5}),
        step("e", after=["zz"]),
        source={"file": "wf.py", "line": 1},
        outputs={"o": "nope"},
    )
    places = [problem.partition(" ")[0] for problem in problems(data)]

    assert places == ["wf.py:1:", "wf.py:1:", "wf.py:5:", "wf.py:5:", "wf.py:9:"]


def test_a_mistake_is_told_once() -> None:
    assert len(problems(workflow(step("b", inputs={"x": "nope + nope"})))) == 1


def test_what_is_nested_too_deeply_is_refused() -> None:
    """Composites nest freely up to a bound that protects every recursion over the definition."""

    def nested(levels: int) -> Data:
        body: Any = step("s")
        for level in range(levels):
            body = repeat(f"r{level}", "False", body)
        return workflow(body, source={"file": "wf.py", "line": 1})

    assert problems(nested(23)) == []
    assert problems(nested(24)) == ["step 's' is nested more than 24 levels deep\n  hint: split the workflow"]


def test_the_error_names_the_workflow_and_counts() -> None:
    with pytest.raises(InvalidWorkflowError) as caught:
        check(load(workflow(step("b", after=["x"]), name="nightly")))

    assert str(caught.value) == (
        "workflow 'nightly' has 1 problem:\nstep 'b': after 'x': there is no such node\n  hint: there are none here"
    )
