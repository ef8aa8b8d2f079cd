"""Owns the tests of the formats: what they say, and that nothing in a workflow breaks them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meson_core.graph import dot, mermaid, svg, text_tree
from meson_core.graph.marks import CONTAINERS, MARKS, SIGNS
from meson_core.graph.measure import cut, width_of
from meson_core.graph.tree import rows
from meson_core.graph.words import tally_of
from meson_core.spec.check import check
from meson_core.spec.model import Constant, ForEach, Step, Workflow
from meson_core.spec.plan import Plan, compile_plan
from meson_core.spec.states import STATES, State
from tests.graph.drawn import everything, mesh, planned, step
from tests.strategies import workflows

if TYPE_CHECKING:
    from collections.abc import Callable

_SVG = "{http://www.w3.org/2000/svg}"


def _states(plan: Plan) -> dict[int, State]:
    return {node.id: State(node.id % len(State)) for node in plan.nodes}


# --- tree -------------------------------------------------------------------------------------------------------------------


def test_the_tree_shows_what_is_in_what() -> None:
    assert text_tree(everything()) == (
        "everything              alpha: float = 0.5\n"
        "├─ users                shell\n"
        "├─ each_region          for region in users.y · at most 9 at a time\n"
        "│  └─ repeat            until judge.y > 3 · at most 4 times\n"
        "│     ├─ train          shell\n"
        "│     └─ judge          shell\n"
        "└─ choose               the first that holds\n"
        "   ├─ when users.y > 1\n"
        "   │  └─ publish        shell\n"
        "   └─ otherwise\n"
        "      └─ tidying        workflow\n"
        "         └─ tidy        shell\n"
    )


def test_the_tree_shows_states_and_counts() -> None:
    states = {0: State.succeeded, 1: State.running, 3: State.failed}
    counts = {3: {State.succeeded: 1200, State.failed: 3, State.running: 8, State.waiting: 9}}
    lines = text_tree(everything(), states, counts).splitlines()

    assert lines[1].split() == ["├─", "✓", "users", "shell"]
    assert lines[4].split(maxsplit=4)[1:] == ["├─", "✗", "train", "1,203/1,220 · 3 failed · 8 running"]
    assert lines[5].split() == ["│", "└─", "judge", "shell"]


def test_the_tree_shows_parallels_and_sequences_in_them() -> None:
    a, b, c, d = (step(name) for name in "abcd")

    assert text_tree(planned((a >> b | c) >> d)) == (
        "w\n"
        "├─ in parallel\n"
        "│  ├─ in sequence\n"
        "│  │  ├─ a         shell\n"
        "│  │  └─ b         shell\n"
        "│  └─ c            shell\n"
        "└─ d               shell\n"
    )


def test_the_tree_shows_a_mesh_with_what_comes_before() -> None:
    lines = text_tree(mesh()).splitlines()

    assert lines[1] == "└─ in this order"
    assert {line.split()[1]: line.partition("· ")[2] for line in lines[2:]} == {
        "a": "", "b": "", "c": "after a, b", "d": "after b",
    }  # fmt: skip


def test_every_node_has_a_row() -> None:
    plan = everything()

    assert sorted(row.node for row in rows(plan) if row.node is not None) == list(range(len(plan.nodes)))


# --- words ------------------------------------------------------------------------------------------------------------------


def test_loops_say_what_they_are_over() -> None:
    def detail(**fields: object) -> str:
        body = (Step(name="a", kind="k"),)
        loop = ForEach.model_validate({"name": "l", "body": body, **fields})
        return rows(compile_plan(check(Workflow(name="w", body=(loop,)))))[1].detail

    assert detail(variables={"x": {"value": [1, 2]}}) == "for x in 1, 2"
    assert detail(variables={"x": {"value": list(range(9))}}) == "for x in 0, 1, 2, 3, … (9)"
    two = {"x": Constant(value=[1]), "y": Constant(value=[2])}
    assert detail(variables=two) == "for x in 1 by y in 2"
    assert detail(variables=two, mode="zipped") == "for x in 1 and y in 2"


def test_counts_tell_the_urgent_first() -> None:
    counts = {State.waiting: 5, State.running: 2, State.failed: 1, State.lost: 1, State.succeeded: 11, State.skipped: 0}

    assert tally_of(counts) == "12/20 · 1 failed · 1 lost · 2 running"
    assert tally_of(counts, most=1) == "12/20 · 1 failed"
    assert tally_of({State.waiting: 3}) == "0/3"


# --- Mermaid and DOT --------------------------------------------------------------------------------------------------------


def test_mermaid_nests_what_is_nested() -> None:
    assert mermaid(everything(), {0: State.succeeded, 4: State.not_chosen}) == (
        "flowchart LR\n"
        '  n0["users<br/><small>shell</small>"]\n'
        '  subgraph n1["each#95;region<br/><small>for region in users.y · at most 9 at a time</small>"]\n'
        "    direction LR\n"
        '    subgraph n2["repeat<br/><small>until judge.y #62; 3 · at most 4 times</small>"]\n'
        "      direction LR\n"
        '      n3["train<br/><small>shell</small>"]\n'
        '      n4["judge<br/><small>shell</small>"]\n'
        "      n3 --> n4\n"
        "    end\n"
        "  end\n"
        '  subgraph n5["choose<br/><small>the first that holds</small>"]\n'
        "    direction LR\n"
        '    subgraph s3["when users.y #62; 1"]\n'
        "      direction LR\n"
        '      n6["publish<br/><small>shell</small>"]\n'
        "    end\n"
        '    subgraph s4["otherwise"]\n'
        "      direction LR\n"
        '      subgraph n7["tidying<br/><small>workflow</small>"]\n'
        "        direction LR\n"
        '        n8["tidy<br/><small>shell</small>"]\n'
        "      end\n"
        "    end\n"
        "  end\n"
        "  n0 --> n1\n"
        "  n1 --> n5\n"
        "  classDef succeeded fill:#34a853,stroke:#34a853\n"
        "  classDef not_chosen fill:none,stroke:#9aa0a6\n"
        "  class n0 succeeded\n"
        "  class n4 not_chosen\n"
    ).replace("each#95;region", "each_region")


def test_dot_joins_clusters_by_the_steps_at_their_ends() -> None:
    text = dot(everything(), {0: State.succeeded, 2: State.running, 3: State.skipped})

    assert "n0 -> n3 [lhead=cluster_n1]" in text
    assert "n4 -> n6 [ltail=cluster_n1 lhead=cluster_n5]" in text
    assert 'n0 [label="users\\nshell" style="rounded,filled" color="#34a853" fillcolor="#34a85340"]' in text
    assert 'n3 [label="train\\nshell" color="#34a853" penwidth=2]' in text
    assert text.count("{") == text.count("}") == 1 + 2 + 3 + 1


_HOSTILE = "</text><script>&\"'\\\n\x00\x1b]#;{|}<!--%%end"


def _hostile() -> Plan:
    """A plan whose texts would end a label, a quote, a line or the document, if they could."""
    body = (Step(name="a", kind=_HOSTILE, doc=_HOSTILE),)
    loop = ForEach(name="l", variables={"x": Constant(value=[_HOSTILE])}, body=body)
    return compile_plan(check(Workflow(name="w", body=(loop,))))


def test_no_text_ends_a_label() -> None:
    plan = _hostile()

    assert "<script>" not in svg(plan)
    assert ET.fromstring(svg(plan)).tag == f"{_SVG}svg"
    for line in mermaid(plan).splitlines():
        assert re.fullmatch(
            r' *(flowchart LR|end|direction LR|(subgraph )?\w+\["[^"\n<>]*<br/><small>[^"\n<>]*</small>"\])', line
        )
    labels = re.findall(r'label="((?:[^"\\]|\\.)*)"', dot(plan))
    assert len(labels) == 2
    assert len(text_tree(plan).splitlines()) == 3


# --- SVG --------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(workflow=workflows())
@settings(max_examples=30, deadline=None)
def test_any_plan_is_a_sound_document(workflow: Workflow) -> None:
    plan = compile_plan(check(workflow))
    counts = {node.id: {State.succeeded: 3, State.failed: 1} for node in plan.nodes if node.depth}
    document = svg(plan, _states(plan), counts)
    root = ET.fromstring(document)
    nodes = [group for group in root.iter(f"{_SVG}g") if "data-node" in group.attrib]

    assert document == svg(plan, _states(plan), counts)
    assert sorted(int(group.attrib["data-node"]) for group in nodes) == list(range(len(plan.nodes)))
    assert {group.attrib["data-name"] for group in nodes} == {node.name for node in plan.nodes}
    assert "nan" not in document.lower().replace("finan", "")


def test_a_node_has_the_class_of_its_state() -> None:
    plan = everything()
    root = ET.fromstring(svg(plan, {0: State.upstream_failed}))
    classes = {
        group.attrib.get("data-node"): group.attrib["class"]
        for group in root.iter(f"{_SVG}g")
        if "class" in group.attrib
    }

    assert classes["0"] == "node step outline upstream_failed"
    assert classes["1"] == "node container for_each even"


def test_the_legend_has_the_states_that_are_shown() -> None:
    plan = everything()
    texts = {
        text.text
        for text in ET.fromstring(svg(plan, {0: State.lost}, {3: {State.failed: 1, State.ready: 0}})).iter(
            f"{_SVG}text"
        )
    }

    assert {"lost", "failed"} <= texts
    assert not {"ready", "running"} & texts
    assert not {state.label for state in State} & {text.text for text in ET.fromstring(svg(plan)).iter(f"{_SVG}text")}


def test_bars_are_as_long_as_their_counts() -> None:
    plan = everything()
    counts = {3: {State.succeeded: 3, State.failed: 1}}
    root = ET.fromstring(svg(plan, None, counts))
    bars = {
        rect.attrib["class"]: float(rect.attrib["width"])
        for rect in root.iter(f"{_SVG}rect")
        if rect.attrib.get("class", "").startswith(("part", "track"))
    }

    assert bars["part succeeded"] == pytest.approx(bars["part failed"] * 3, abs=0.02)
    assert bars["part succeeded"] + bars["part failed"] == pytest.approx(bars["track"], abs=0.1)


def test_every_state_and_container_has_a_mark_and_a_colour() -> None:
    document = svg(everything())

    assert set(SIGNS) == set(MARKS) == set(State) == set(STATES)
    assert len(set(SIGNS.values())) == len(SIGNS)
    assert set(CONTAINERS) == {"for_each", "repeat", "choose", "subworkflow"}
    for state, facts in STATES.items():
        assert f".meson .part.{state.name}{{fill:{facts.colour}}}" in document


@pytest.mark.parametrize("draw", [svg, text_tree, mermaid, dot])
def test_a_single_step_is_a_picture(draw: Callable[[Plan], str]) -> None:
    assert "alone" in draw(planned(step("alone")))


@given(text=st.text(max_size=40), width=st.floats(20, 200))
@settings(deadline=None)
def test_a_cut_text_fits(text: str, width: float) -> None:
    found = cut(text, 11, width)

    assert width_of(found, 11) <= width or found == "…"
    assert found == text or found.endswith("…")
