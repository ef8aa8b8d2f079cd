"""Owns pictures of a workflow: a tree for the terminal, Mermaid, DOT and SVG, all from its plan.

Everything is text that is made of a `Plan`, of states and of counts by node number; nothing is drawn by other programs.
`rows` and `picture_of` give the same without a format, for those who draw by themselves.
"""

from __future__ import annotations

from meson_core.graph.dot import dot
from meson_core.graph.mermaid import mermaid
from meson_core.graph.picture import picture_of
from meson_core.graph.svg import svg
from meson_core.graph.tree import rows, text_tree

__all__ = ["dot", "mermaid", "picture_of", "rows", "svg", "text_tree"]
