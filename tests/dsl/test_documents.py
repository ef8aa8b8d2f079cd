"""Owns the tests of YAML and JSON documents: what their words mean, and every mistake with its line."""

from __future__ import annotations

import contextlib
import json
import textwrap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meson_core.dsl.documents
from meson_core import dump_yaml, load_json, load_yaml
from meson_core.dsl.documents.yaml_text import MAX_VALUES, parse_yaml
from meson_core.errors import (
    DuplicateNameError,
    ExpressionError,
    InvalidWorkflowError,
    MesonError,
    SpecError,
    UnknownNameError,
    WrongTypeError,
)
from meson_core.spec.check import check
from meson_core.spec.model import Constant, Expression, Resources, Step, Workflow
from meson_core.spec.model import Retry as SpecRetry
from tests.dsl.made import without_places


def _step(words: str) -> Step:
    """The step that these words of a node make."""
    node = load_yaml(f"name: w\nbody: {{a: {{kind: shell, {words}}}}}").body[0]
    assert isinstance(node, Step)
    return node


# --- what is said ---------------------------------------------------------------------------------------------------------


def test_the_example_of_the_documentation_is_a_sound_workflow() -> None:
    text = meson_core.dsl.documents.__doc__ or ""
    example = textwrap.dedent("\n".join(line for line in text.splitlines() if line.startswith("    ")))
    checked = check(load_yaml(example))

    assert [node.name for node in checked.body] == [
        "get_users",
        "each_region",
        "rates",
        "rates_results",
        "winner",
        "again",
        "publish_or_not",
        "tidy_up",
    ]
    assert checked.timeout_s == 7200
    assert checked.params["alpha"].default == 0.1
    assert checked.outputs == {"best": "max(train.score)"}


def test_words_that_are_no_policies_are_options() -> None:
    node = _step("script: x, memory: 2 GB, env: {A: 1}, options: {memory: 3, kind: k}")

    assert node.options == {"script": "x", "env": {"A": 1}, "memory": 3, "kind": "k"}
    assert node.resources == Resources(memory=2 * 10**9)


def test_policies_are_said_as_in_python() -> None:
    node = _step(
        "cpus: 2, gpus: 1, resources: {licences: 2}, where: [zone == 'a'], retries: 2, timeout: 10 min, grace: 3 s,"
        "join: any, on_failure: ignore, priority: 1, isolate: true, doc: A step."
    )

    assert node.resources == Resources(cpus=2, other={"gpus": 1, "licences": 2}, constraints=("zone == 'a'",))
    assert (node.retry, node.timeout_s, node.grace_s) == (SpecRetry(user=2, timeout=2), 600, 3)
    assert (node.join.value, node.on_failure.value, node.priority, node.isolate) == ("any", "ignore", 1, True)
    assert node.doc == "A step."


@pytest.mark.parametrize(
    ("value", "binding"),
    [
        ('"${b.y}"', Expression(expr="b.y")),
        ('"${ b.y + 1 }"', Expression(expr="b.y + 1")),
        ('"${ {1: 2}[1] }"', Expression(expr="{1: 2}[1]")),
        ("[1, '${b.y}', {k: '${p}'}]", Expression(expr="[1, b.y, {'k': p}]")),
        ("{expr: b.y}", Expression(expr="b.y")),
        ("{value: {expr: b.y}}", Constant(value={"expr": "b.y"})),
        ("{value: '${b.y}'}", Constant(value="${b.y}")),
        ("'$${b.y}'", Constant(value="${b.y}")),
        ("'a $${x} b'", Constant(value="a ${x} b")),
        ("{expr: 1, more: 2}", Constant(value={"expr": 1, "more": 2})),
        ("null", Constant(value=None)),
    ],
)
def test_a_text_that_is_an_expression_as_a_whole_is_one(value: str, binding: Any) -> None:
    assert _step(f"inputs: {{x: {value}}}").inputs == {"x": binding}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("NO", "NO"), ("on", "on"), ("12:30", "12:30"), ("2020-01-01", "2020-01-01"), ("0777", 777),
        ("0o17", 15), ("0x1f", 31), ("1_000", "1_000"), ("1e3", 1000.0), (".5", 0.5), ("-7", -7), ("+7", 7),
        ("true", True), ("False", False), ("~", None), ("", None), ("'true'", "true"), ('"1"', "1"), ("!!str 1", "1"),
        ("1.", 1.0), ("=", "="), ("<<", "<<"), ("é", "é"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    found = parse_yaml(f"x: {text}", "f").plain["x"]

    assert (type(found), found) == (type(value), value)


def test_aliases_are_repeated() -> None:
    spec = load_yaml("name: w\nbody: {a: {kind: shell, inputs: {x: &xs [1, 2], y: *xs}}}")

    assert spec.body[0].inputs["x"] == spec.body[0].inputs["y"]  # type: ignore[union-attr]


def test_every_node_has_its_line_and_file() -> None:
    spec = load_yaml("name: w\nsequence:\n  - a: {kind: shell}\n  - b:\n      kind: shell\n", file="w.yaml")

    assert [(node.source and node.source.file, node.source and node.source.line) for node in spec.body] == [
        ("w.yaml", 3),
        ("w.yaml", 4),
    ]
    assert spec.source is not None
    assert spec.source.line == 1


def test_places_that_are_said_are_kept() -> None:
    place = {"file": "flow.py", "line": 7}
    document = {"name": "w", "source": place, "body": [{"node": "step", "name": "a", "kind": "k", "source": place}]}
    spec = load_json(json.dumps(document))

    assert spec.source == spec.body[0].source
    assert spec.source is not None
    assert spec.source.model_dump() == place


def test_a_list_of_nodes_may_be_in_full_or_short() -> None:
    text = """
        name: w
        body:
          - {name: a, kind: shell, memory: 1 GB}
          - {name: b, node: step, kind: shell, after: [a], resources: {memory: 5}, source: null}
    """
    a, b = load_yaml(text).body

    assert (a.resources.memory, b.resources.memory, b.after) == (10**9, 5, ("a",))  # type: ignore[union-attr]
    assert b.source is not None
    assert b.source.line == 5


def test_a_mapping_may_hold_sequences_beside_nodes() -> None:
    text = """
        name: w
        body:
          sequence: [a: {kind: k}, b: {kind: k}]
          parallel: {kind: k, after: b}
    """
    spec = load_yaml(text)

    assert {node.name: node.after for node in spec.body} == {"a": (), "b": ("a",), "parallel": ("b",)}


# --- mistakes -------------------------------------------------------------------------------------------------------------

_A = "{kind: shell}"


@pytest.mark.parametrize(
    ("text", "line", "error", "message", "hint"),
    [
        ("", 1, SpecError, "the document is empty", "a workflow needs at least `name:` and `body:`"),
        ("[1, 2]", 1, WrongTypeError, "a workflow must be a mapping, got [1, 2]", None),
        ("name: w\nbody: {a: [b}", 2, SpecError, "this is not YAML: while parsing a flow sequence", None),
        ("name: w\n\tbody: 3", 2, SpecError, "this is not YAML", None),
        ("name: 'w\nbody: {}", None, SpecError, "this is not YAML", None),
        ("name: w\nname: v", 2, DuplicateNameError, "the key 'name' is here twice: on line 1 and on line 2", None),
        (f"name: w\nbody:\n  a: {_A}\n  a: {_A}", 4, DuplicateNameError, "the key 'a' is here twice: on line 3", None),
        ("name: w\nbody: {a: {kind: !!python/name:os.system x}}", 2, SpecError, "stands for more than plain data", None),
        ("name: w\nbody: !mine {a: 1}", 2, SpecError, "the tag '!mine' stands for more than plain data", None),
        ("name: w\nx: [.inf]", 2, WrongTypeError, "'.inf' is not a finite number", None),
        ("? {a: 1}\n: 2", 1, WrongTypeError, "a key must be a text", None),
        ("name: w", 1, SpecError, "workflow 'w' has no body", "write one of body, sequence and parallel"),
        ("name: w\nbody: {}", 1, SpecError, "body: is empty", None),
        (f"name: w\nbody: {{a: {_A}}}\nsequence: []", 1, SpecError, "workflow 'w' has body and sequence", None),
        (f"name: w\nbdy: {{a: {_A}}}", 2, UnknownNameError, "workflow 'w': there is no option 'bdy'", "did you mean 'body'?"),
        ("name: w\nbody:\n  a: 3", 3, WrongTypeError, "node 'a' must be a mapping, got 3", None),
        ("name: w\nbody:\n  a:\n    knd: shell", 3, UnknownNameError, "node 'a' does not say what it is", "did you mean 'kind'?"),
        ("name: w\nbody:\n  a: {}", 3, SpecError, "node 'a' does not say what it is", "a step has a kind"),
        (
            "name: w\nbody:\n  a: {kind: x, for_each: {}}",
            3, SpecError, "node 'a' is several things at once: kind, for_each", None,
        ),
        ("name: w\nbody:\n  - kind: shell", 3, SpecError, "a node in a list needs a name", "write a mapping of names"),
        ("name: w\nbody:\n  - {name: 3, kind: shell}", 3, WrongTypeError, "the name of a node must be a text, got 3", None),
        ("name: w\nsequence:\n  - a", 3, WrongTypeError, "a part of a sequence must be a mapping", "write - name:"),
        ("name: w\nsequence: 3", 2, WrongTypeError, "workflow 'w': sequence must be a list, got 3", None),
        ("name: w\nbody: {a: {kind: s,\n after: b}}", 2, UnknownNameError, "'b'", None),
        ("name: w\nbody: {a: {kind: s,\n after: [3]}}", 3, WrongTypeError, "after must be a list of names, it has 3", None),
        ("name: w\nbody: {a: {kind: s,\n join: al}}", 3, UnknownNameError, "step 'a': join cannot be 'al'", "'all'"),
        ("name: w\nbody: {a: {kind: s,\n memory: 2 GG}}", 3, SpecError, "step 'a': memory is not understood", None),
        ("name: w\nbody: {a: {kind: s,\n inputs: 3}}", 3, WrongTypeError, "step 'a': inputs must be a mapping, got 3", None),
        (
            "name: w\nbody: {a: {kind: s, inputs: {\n x: 'a ${b}'}}}",
            3, SpecError, "input 'x': 'a ${b}' is an expression only in part", "put the whole into ${...}",
        ),
        ("name: w\nbody: {a: {kind: s, inputs: {\n x: '${b +}'}}}", 3, ExpressionError, "step 'a': input 'x': `b +`", None),
        ("name: w\nbody: {a: {kind: s, outputs: {x: flot}}}", 2, WrongTypeError, "flot", "float"),
        ("name: w\nbody: {a: {kind: s, options: 3}}", 2, WrongTypeError, "step 'a': options must be a mapping", None),
        (f"name: w\nbody:\n  l: {{for_each: [1], body: {{a: {_A}}}}}", 3, WrongTypeError, "variables must be a mapping", None),
        (f"name: w\nbody:\n  l: {{for_each: {{x: [1]}}, mod: 1, body: {{a: {_A}}}}}", 3, UnknownNameError, "no option 'mod'", "'mode'"),
        (f"name: w\nbody:\n  l: {{for_each: {{x: [1]}}, mode: zip, body: {{a: {_A}}}}}", 3, UnknownNameError, "mode", "'zipped'"),
        (f"name: w\nbody:\n  r: {{repeat: {{untl: x}}, body: {{a: {_A}}}}}", 3, UnknownNameError, "no option 'untl'", "'until'"),
        (f"name: w\nbody:\n  r: {{repeat: {{until: [x]}}, body: {{a: {_A}}}}}", 3, WrongTypeError, "until must be an expression", None),
        (f"name: w\nbody:\n  r: {{repeat: {{until: x}}, body: {{a: {_A}}}}}", 3, SpecError, "max_iterations: is missing", None),
        ("name: w\nbody:\n  c: {choose: 3}", 3, WrongTypeError, "choose 'c': choose must be a list, got 3", None),
        (f"name: w\nbody:\n  c: {{choose: [{{when: x}}], otherwise: {{a: {_A}}}}}", 3, SpecError, "a branch has no body", None),
        (f"name: w\nbody:\n  c: {{choose: [{{whn: x, body: {{a: {_A}}}}}]}}", 3, UnknownNameError, "no option 'whn'", "'when'"),
        ("name: w\nbody:\n  s: {subworkflow: {name: v}}", 3, SpecError, "workflow 'v' has no body", None),
        (f"name: w\nbody: {{a: {_A}}}\nparams:\n  p: 3", 4, WrongTypeError, "workflow 'w': parameter 'p' must be a mapping, got 3", None),
        (f"name: w\nbody: {{a: {_A}}}\nparams:\n  p: {{typ: int}}", 1, UnknownNameError, "there is no field 'typ'", "'type'"),
        (f"name: w\nbody: {{a: {_A}}}\noutputs: 3", 3, WrongTypeError, "workflow 'w': outputs must be a mapping, got 3", None),
        (f"name: w\nbody: {{a: {_A}}}\ntimeout: soon", 3, SpecError, "workflow 'w': timeout: 'soon' is not a duration", None),
        (f"name: a b\nbody: {{a: {_A}}}", 1, SpecError, "name: a name has letters, digits and _", None),
        (f"body: {{a: {_A}}}", 1, SpecError, "name: is missing", None),
        ('name: w\nx: "\\uD800"', 2, SpecError, "has half of a surrogate pair", None),
    ],
)  # fmt: skip
def test_a_mistake_in_yaml_is_told_with_its_line(
    text: str, line: int | None, error: type[MesonError], message: str, hint: str | None
) -> None:
    with pytest.raises(InvalidWorkflowError) as caught:
        check(load_yaml(text, file="w.yaml"))
    found = [
        problem
        for problem in caught.value.problems
        if isinstance(problem, error) and message in problem.message and (hint or "") in (problem.hint or "")
    ]

    assert found, str(caught.value)
    assert found[0].where is not None
    assert found[0].where.file == "w.yaml"
    if line is not None:
        assert found[0].where.line == line


def test_all_mistakes_are_told_at_once() -> None:
    text = """
        name: w
        bdy: 1
        params: {p: 3}
        body:
          a: {kind: s, cpus: -1, join: al}
          b: {kin: s}
          l: {for_each: {x: [1]}, mod: 1, body: {c: 4}}
    """
    with pytest.raises(InvalidWorkflowError) as caught:
        load_yaml(text)

    lines = [problem.where.line for problem in caught.value.problems if problem.where]
    assert lines == [3, 4, 6, 6, 7, 8, 8]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "this is not JSON: expected a value, found the end"),
        ("{\n'name': 1}", 2, "this is not JSON: a key must be a text in double quotes"),
        ('{"name": "w",\n}', 2, "this is not JSON: there is a comma, and nothing comes after it"),
        ('{"name": "w", "name": "v"}', 1, "the key 'name' is here twice, on line 1"),
        ('{"name"\n 3}', 2, "this is not JSON: expected ':', found '3'"),
        ('{"a": 1\n "b": 2}', 2, "this is not JSON: expected ',', found '\"'"),
        ('{"a": [1 2]}', 1, "this is not JSON: expected ',', found '2'"),
        ('{"a": [1', 1, "this is not JSON: expected ',', found the end"),
        ('{"a": NaN}', 1, "this is not JSON: expected a value, found 'NaN'"),
        ('{"a": 01}', 1, "this is not JSON: expected ',', found '1'"),
        ('{"a": 1e999}', 1, "'1e999' is larger than a workflow can carry"),
        ('{"a": "\\x"}', 1, "this is not JSON: invalid \\escape"),
        ('{"a": "\\ud800"}', 1, "has half of a surrogate pair"),
        ('{"a": 1,\n\n "a": 2}', 3, "the key 'a' is here twice: on line 1 and on line 3"),
        ('{"a": 1}\n{"b": 2}', 2, "something follows after the end of the document"),
        ("[" * 1000, 1, "nested too deeply"),
        ("1" * 5000, 1, "is larger than a workflow can carry"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_mistake_in_json_is_told_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(InvalidWorkflowError) as caught:
        load_json(text, file="w.json")
    (problem,) = caught.value.problems

    assert message in problem.message
    assert problem.where is not None
    assert (problem.where.file, problem.where.line) == ("w.json", line)


@pytest.mark.slow
def test_a_document_that_grows_by_aliases_is_refused() -> None:
    """Ten lines of aliases to aliases would otherwise be more values than memory holds."""
    lines = ["name: w", "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    with pytest.raises(InvalidWorkflowError, match=f"larger than {MAX_VALUES:,} values"):
        load_yaml("\n".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 500, "a: &a [*a]"], ids=["lists", "mappings", "itself"])
def test_a_document_without_a_bottom_is_refused(text: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=r"nested too deeply|not YAML"):
        load_yaml(text)


def test_a_workflow_with_a_loose_end_is_not_written() -> None:
    spec = load_yaml("name: w\nbody: {a: {kind: k, after: [b]}, bb: {kind: k}}")

    with pytest.raises(UnknownNameError, match="'a' comes after 'b', which is not beside it"):
        dump_yaml(spec)


# --- round trips ----------------------------------------------------------------------------------------------------------

_TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "no",
        "1e3",
        "0o7",
        "~",
        "=",
        "<<",
        "${x}",
        "$${x}",
        "a\nb\n",
        " a",
        "a ",
        "\ta",
        "# a",
        "a: b",
        "- a",
        "é\u2028x",
        "\x85",
        "a\r\nb",
        "for_each",
        "kind",
        "node",
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(value=_JSON, options=st.dictionaries(_TEXT, _JSON, max_size=3), doc=_TEXT)
@settings(deadline=None)
def test_any_value_survives_yaml(value: Any, options: dict[str, Any], doc: str) -> None:
    step = Step(name="a", kind="k", inputs={"x": Constant(value=value)}, options=options, doc=doc)
    spec = Workflow(name="w", body=(step,), doc=doc)

    assert without_places(spec) == without_places(load_yaml(dump_yaml(spec)))


@pytest.mark.parametrize(
    "fields",
    [
        {"resources": {"cpus": 0.5, "memory": 2 * 10**9, "disk": 7, "other": {"gpus": 1.5, "licences": 2}}},
        {"resources": {"other": {"gpus": 0}, "constraints": ["a == 1"]}},
        {"resources": {"memory": 512 * 2**20, "constraints": ["a == 1", "b == 2"]}},
        {"retry": {"user": 2, "timeout": 2}},
        {"retry": {"user": 7, "timeout": 7, "platform": 7}},
        {"retry": {"user": 1, "platform": None, "backoff_s": 0.5}},
        {"timeout_s": 0.5, "grace_s": 0, "priority": -1, "isolate": True},
        {"artifact": "a/${x}", "cache": "inputs"},
        {"cache": True},
        {"join": "any", "on_failure": "ignore", "after": [], "doc": "One.\nTwo.\n"},
        {"input_types": {"x": "list[int]"}, "inputs": {"x": {"expr": "[1]"}}},
        {"options": {"memory": 1, "name": "n", "script": "a\nb"}},
    ],
    ids=str,
)
def test_every_word_of_a_step_survives_yaml(fields: dict[str, Any]) -> None:
    spec = Workflow(name="w", body=(Step.model_validate({"name": "a", "kind": "k", **fields}),))

    assert without_places(spec) == without_places(load_yaml(dump_yaml(spec)))


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "int"},
        {"type": "int", "default": None, "required": False},
        {"type": "float", "default": 3.0, "required": False, "ge": 1, "lt": 2.5, "doc": "Of all."},
        {"type": "str", "default": "a", "required": True, "choices": ["a"], "pattern": "a", "max_length": 1},
    ],
    ids=str,
)
def test_every_word_of_a_parameter_survives_yaml(declared: dict[str, Any]) -> None:
    spec = Workflow.model_validate(
        {"name": "w", "params": {"p": declared}, "body": [{"name": "a", "kind": "k", "node": "step"}], "timeout_s": 60}
    )

    assert without_places(spec) == without_places(load_yaml(dump_yaml(spec)))


@given(text=st.text(alphabet="abk:{}[],-?!&*'\"\n #|>%@`~0123.", max_size=80))
@settings(deadline=None)
def test_no_text_breaks_the_readers(text: str) -> None:
    """Whatever is typed, the answer is a workflow or a list of mistakes."""
    for load in (load_yaml, load_json):
        for whole in (text, f"name: w\nbody: {{a: {{kind: k, {text}}}}}", f'{{"name": "w", "body": [{text}]}}'):
            with contextlib.suppress(InvalidWorkflowError):
                assert load(whole).body
