"""Owns random workflows that are written in every notation: operators, verbs, and documents."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from meson_core import (
    choose,
    end,
    expr,
    for_each,
    kind,
    parallel,
    repeat,
    sequence,
    start,
    subworkflow,
    when,
    workflow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hypothesis.strategies import DrawFn


@dataclass(frozen=True)
class Piece:
    """A part of a workflow, in no notation.

    Args:
        sort: "step", "seq", "par", or a composite.
        name: of a node.
        parts: of seq, par and choose; the body of other composites is the only one.
        refers: names of steps of the same workflow whose output a step takes.
        last: of a choose: whether its last part is `otherwise`.
    """

    sort: str
    name: str = ""
    parts: tuple[Piece, ...] = ()
    refers: tuple[str, ...] = ()
    last: bool = False


@st.composite
def pieces(draw: DrawFn) -> Piece:
    """A whole workflow: a seq or par that holds at least a step."""
    numbers = iter(range(10_000))

    def piece(depth: int, known: list[str]) -> Piece:
        sorts = ["step", "step", "seq", "par", "for_each", "repeat", "choose", "subworkflow"] if depth else ["step"]
        sort = draw(st.sampled_from(sorts))
        name = f"{sort}{next(numbers)}"
        if sort == "step":
            refers = tuple(draw(st.lists(st.sampled_from(known), max_size=2, unique=True))) if known else ()
            known.append(name)
            return Piece("step", name, refers=refers)
        if sort == "subworkflow":
            return Piece(sort, name, (piece(depth - 1, []),))
        count = draw(st.integers(1, 3)) if sort in ("seq", "par", "choose") else 1
        parts = tuple(piece(depth - 1, known) for _ in range(count))
        return Piece(sort, name, parts, last=sort == "choose" and count > 1 and draw(st.booleans()))

    known: list[str] = []
    return Piece("seq", "all", (piece(3, known), piece(3, known)))


class Author:
    """Writes a piece with the authoring functions.

    Args:
        in_seq: how parts one after the other are written.
        in_par: how parts side by side are written.
        body: how the body of a for_each is given.
        named: whether composites get their name, or a default.
    """

    def __init__(
        self,
        in_seq: Callable[[list[Any]], Any],
        in_par: Callable[[list[Any]], Any],
        body: Callable[[Any, Any], Any],
        *,
        named: bool,
    ) -> None:
        self.in_seq = in_seq
        self.in_par = in_par
        self.body = body
        self.named = named

    def workflow(self, name: str, piece: Piece) -> Any:
        return workflow(name, self.write(piece, {}), doc="random")

    def write(self, piece: Piece, steps: dict[str, Any]) -> Any:
        name: dict[str, Any] = {"name": piece.name} if self.named else {}
        if piece.sort == "step":
            made = kind("shell", name=piece.name, script="true", outputs={"y": int})
            steps[piece.name] = made(**{f"x{at}": steps[other].output["y"] for at, other in enumerate(piece.refers)})
            return steps[piece.name]
        if piece.sort == "subworkflow":
            return subworkflow(self.workflow(piece.name, piece.parts[0]), name=piece.name)
        parts = [self.write(part, steps) for part in piece.parts]
        match piece.sort:
            case "seq":
                return self.in_seq(parts)
            case "par":
                return self.in_par(parts)
            case "for_each":
                return self.body(for_each({f"v_{piece.name}": [1, 2]}, max_failed=1, **name), parts[0])
            case "repeat":
                return repeat(parts[0], until="True", max_iterations=3, **name)
            case _:
                last = {"otherwise": parts.pop()} if piece.last else {}
                branches = [when(expr(f"{at} > 1"), part) for at, part in enumerate(parts)]
                return choose(*branches, **last, **name)


def by_operators(*, named: bool) -> Author:
    """`start >> a >> (b | c) >> end`."""
    return Author(
        lambda parts: start >> functools.reduce(operator.rshift, parts) >> end,
        lambda parts: functools.reduce(operator.or_, parts),
        lambda loop, body: loop(body),
        named=named,
    )


def by_lists(*, named: bool) -> Author:
    """`a >> [b, c]`."""
    return Author(
        lambda parts: functools.reduce(operator.rshift, parts, start),
        lambda parts: parts if len(parts) > 1 else (parts[0],),
        lambda loop, body: loop(body),
        named=named,
    )


def by_verbs(*, named: bool) -> Author:
    """`sequence(a).parallel(b, c)`."""
    return Author(
        lambda parts: functools.reduce(lambda done, part: done.sequence(part), parts[1:], sequence(parts[0])),
        lambda parts: start.parallel(*parts),
        lambda loop, body: loop.sequence(body),
        named=named,
    )


def by_verbs_at_once(*, named: bool) -> Author:
    """`sequence(a, parallel(b, c))`."""
    return Author(
        lambda parts: sequence(*parts),
        lambda parts: parallel(*parts),
        lambda loop, body: loop.parallel(body),
        named=named,
    )


def as_document(name: str, piece: Piece) -> dict[str, Any]:
    """The document of the same workflow, with the names that the piece has."""
    return {"name": name, "doc": "random", **_graph(piece)}


def _graph(piece: Piece) -> dict[str, Any]:
    if piece.sort in ("seq", "par"):
        word = "sequence" if piece.sort == "seq" else "parallel"
        return {word: [_part(part) for part in piece.parts]}
    return {"body": _part(piece)}


def _part(piece: Piece) -> dict[str, Any]:
    return _graph(piece) if piece.sort in ("seq", "par") else {piece.name: _node(piece)}


def _node(piece: Piece) -> Mapping[str, Any]:
    if piece.sort == "step":
        node: dict[str, Any] = {"kind": "shell", "script": "true", "outputs": {"y": "int"}}
        if piece.refers:
            node["inputs"] = {f"x{at}": f"${{{other}.y}}" for at, other in enumerate(piece.refers)}
        return node
    match piece.sort:
        case "subworkflow":
            return {"subworkflow": as_document(piece.name, piece.parts[0])}
        case "for_each":
            return {"for_each": {f"v_{piece.name}": [1, 2]}, "max_failed": 1, **_graph(piece.parts[0])}
        case "repeat":
            return {"repeat": {"until": True, "max_iterations": 3}, **_graph(piece.parts[0])}
        case _:
            ways = [{"when": f"{at} > 1", **_graph(part)} for at, part in enumerate(piece.parts)]
            if not piece.last:
                return {"choose": ways}
            otherwise = _graph(piece.parts[-1])
            return {"choose": ways[:-1], "otherwise": otherwise.get("body", otherwise)}
