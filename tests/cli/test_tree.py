"""Owns the tests of the tree of a run: what fits into a terminal, and how it is painted."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from meson_core import for_each, kind, param, sequence, workflow
from meson_core.cli import tree as trees
from meson_core.cli.screen import Screen
from meson_core.client.records import TreeNode
from meson_core.dsl.build import build
from meson_core.spec import check, compile_plan
from meson_core.spec.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.spec import Plan


def _plan(count: int) -> Plan:
    steps = [kind("shell", name=f"step_{number}", script="true") for number in range(count)]
    return compile_plan(check(build(workflow("chain", sequence(*steps)))))


def _view(plan: Plan, number: int, state: State, note: str = "") -> TreeNode:
    counts = [0] * len(State)
    counts[state] = 1
    node = plan.nodes[number]
    return TreeNode(number, node.name, node.spec.node, -1, tuple(counts), None, None, None, None, note)


def _shown(plan: Plan, states: Sequence[State], height: int, width: int = 80) -> list[str]:
    nodes = {number: _view(plan, number, state) for number, state in enumerate(states)}
    return [text.plain for text in trees.texts(trees.fit(trees.outline(plan), nodes, height), nodes, width)]


def test_what_runs_and_what_failed_stays_when_the_tree_is_taller_than_the_terminal() -> None:
    plan = _plan(40)
    states = [State.succeeded] * 20 + [State.failed, State.running] + [State.waiting] * 18

    assert _shown(plan, states, 6) == [
        "├─ ⋮ 20 succeeded",
        "├─ ✗ step_20",
        "├─ ● step_21  shell",
        "├─ · step_22  shell",
        "├─ · step_23  shell",
        "├─ ⋮ 16 waiting",
    ]


def test_a_tree_that_fits_is_shown_as_it_is() -> None:
    plan = _plan(3)

    assert _shown(plan, [State.succeeded, State.running, State.waiting], 3) == [
        "├─ ✓ step_0",
        "├─ ● step_1  shell",
        "└─ · step_2  shell",
    ]


@given(states=st.lists(st.sampled_from(list(State)), min_size=1, max_size=30), height=st.integers(1, 12))
def test_it_always_fits_and_every_node_is_told_of(states: list[State], height: int) -> None:
    plan = _plan(len(states))
    nodes = {number: _view(plan, number, state) for number, state in enumerate(states)}
    shown = trees.fit(trees.outline(plan), nodes, height)
    told = [number for line in shown for number in (line.nodes if isinstance(line, trees.Folded) else (line.node,))]

    assert len(shown) <= height
    assert told == list(range(len(states)))
    assert not any(
        isinstance(first, trees.Folded) and isinstance(second, trees.Folded)
        for first, second in itertools.pairwise(shown)
    )


def test_a_fan_out_is_one_line_with_its_counts() -> None:
    each = for_each(i=param("items", list))
    plan = compile_plan(check(build(workflow("wide", each(kind("shell", name="work", script="true"))))))
    counts = [0] * len(State)
    counts[State.succeeded], counts[State.failed], counts[State.running], counts[State.waiting] = 15_000, 3, 8, 4_989
    nodes = {
        0: _view(plan, 0, State.running),
        1: TreeNode(1, "work", "step", 0, tuple(counts), 0.75, 61.0, 184.0, 0.1, "exit code 3\nand more"),
    }
    (_, line) = trees.texts(trees.outline(plan), nodes, 120)
    bar = line.plain[line.plain.index("█") : line.plain.index(" 15,003")]

    assert (len(bar), set(bar)) == (20, {"█", "░"})
    assert "15,003/20,000  8 running  3 failed  3 min 4 s, 1 min 1 s to go  exit code 3" in line.plain


def test_iterations_are_no_progress_of_their_own() -> None:
    from meson_core import repeat

    body = kind("shell", name="fit", script="true", outputs={"good": bool})
    plan = compile_plan(check(build(workflow("again", repeat(body, until=body.output["good"], max_iterations=5)))))
    counts = [0] * len(State)
    counts[State.succeeded], counts[State.running] = 2, 1
    nodes = {1: TreeNode(1, "fit", "step", 0, tuple(counts), None, None, 9.0, 4.0, "")}
    lines = trees.texts(trees.outline(plan), nodes, 100)

    assert lines[1].plain == "   └─ ● fit  3 times  4.0 s each"


@pytest.mark.parametrize("note", ["x" * 300, "\x1b[2Jcleared", "größer als 10 \N{CJK UNIFIED IDEOGRAPH-9AD8}" * 20])
def test_a_line_is_never_wider_than_the_terminal_and_moves_no_cursor(note: str) -> None:
    plan = _plan(1)
    (line,) = trees.texts(trees.outline(plan), {0: _view(plan, 0, State.failed, note)}, 60)

    assert line.cell_len <= 60
    assert line.plain.isprintable()


# --- painting -------------------------------------------------------------------------------------------------------


def _screen() -> tuple[Screen, io.StringIO]:
    written = io.StringIO()
    return Screen(Console(file=written, force_terminal=True, width=40, height=10, color_system=None)), written


def _taken(written: io.StringIO) -> str:
    text = written.getvalue()
    written.seek(0)
    written.truncate()
    return text


def test_only_lines_that_changed_are_written_again() -> None:
    screen, written = _screen()
    screen.paint([Text("one"), Text("two"), Text("three")])
    _taken(written)
    screen.paint([Text("one"), Text("2"), Text("three")])
    again = _taken(written)

    assert "one" not in again
    assert "three" not in again
    assert "\x1b[3F\n\x1b[2K2\n\n" in again


def test_lasting_lines_go_above_the_block() -> None:
    screen, written = _screen()
    screen.paint([Text("block")])
    _taken(written)
    screen.print_above([Text("this stays")])
    said = _taken(written)

    assert said.index("this stays") < said.index("block")
    assert said.startswith("\x1b[?2026h\x1b[1F\x1b[J")


def test_the_terminal_is_given_back() -> None:
    screen, written = _screen()
    screen.paint([Text("block")])
    screen.close(clear=True)
    said = _taken(written)

    assert said.endswith("\x1b[1F\x1b[J\x1b[?7h\x1b[?25h")
