"""Owns the check that the page of states is the one that the tables make."""

from __future__ import annotations

from pathlib import Path

from meson_core.engine import drawing
from meson_core.spec.states import State

PAGE = Path(__file__).parents[2] / "docs" / "states.md"


def test_the_page_of_states_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == drawing.page(), (
        "run: python -m meson_core.engine.drawing > docs/states.md"
    )


def test_the_diagram_reaches_every_state() -> None:
    diagram = drawing.page().partition("```mermaid")[2].partition("```")[0]
    for state in State:
        assert f"as {state.name}" in diagram
    reached = {line.split("-->")[1].partition(":")[0].strip() for line in diagram.splitlines() if "-->" in line}
    assert reached == {*(state.name for state in State), "[*]"}
