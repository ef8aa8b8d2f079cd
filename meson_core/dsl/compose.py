"""Owns composition: graphs of nodes, and the operators and verbs that join them.

A graph is a set of nodes and the edges between them. `a >> b` wires every sink of `a` to every source of `b`; `a | b`
puts them side by side. A node that appears twice is one node, so a diamond may be written as two chains. Operators and
verbs call the same two functions, `in_sequence` and `in_parallel`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meson_core.dsl.places import here
from meson_core.dsl.values import Value
from meson_core.errors import CycleError, Where, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Composable:
    """Anything that can stand in a graph: a node, or a graph of nodes."""

    __slots__ = ()

    def as_graph(self) -> Graph:
        """The graph that it is."""
        raise NotImplementedError

    def __rshift__(self, other: object) -> Graph:
        return in_sequence((self, other))

    def __rrshift__(self, other: object) -> Graph:
        return in_sequence((other, self))

    def __or__(self, other: object) -> Graph:
        return in_parallel((self, other))

    def __ror__(self, other: object) -> Graph:
        return in_parallel((other, self))

    def sequence(self, *parts: object) -> Graph:
        """This, then the parts one after the other: the verb for `>>`."""
        return in_sequence((self, *parts))

    def parallel(self, *parts: object) -> Graph:
        """This, then all the parts side by side: the verb for `>> (... | ...)`."""
        return in_sequence((self, in_parallel(parts)))

    def __bool__(self) -> bool:
        msg = "a part of a workflow is neither true nor false"
        raise WrongTypeError(msg, where=here(), hint="write >> for one after the other, | for side by side")

    def __iter__(self) -> Iterator[Any]:
        msg = "a part of a workflow cannot be looped over"
        raise WrongTypeError(msg, where=here(), hint='its outputs are at .output["name"]')


@dataclass(frozen=True, eq=False)
class Node(Composable):
    """What every authored node has.

    Args:
        where: the line that made it.
    """

    where: Where | None = field(kw_only=True)

    def as_graph(self) -> Graph:
        """A graph of just this node."""
        return Graph((self,), frozenset(), (self,), (self,))

    @property
    def label(self) -> str:
        """How messages call it."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, slots=True)
class Graph(Composable):
    """Nodes in the order in which they were first named, and their edges.

    Args:
        nodes: each once.
        edges: pairs of predecessor and successor.
        sources: nodes without predecessors.
        sinks: nodes without successors.
    """

    nodes: tuple[Node, ...] = ()
    edges: frozenset[tuple[Node, Node]] = frozenset()
    sources: tuple[Node, ...] = ()
    sinks: tuple[Node, ...] = ()

    def as_graph(self) -> Graph:
        """Itself."""
        return self

    def __repr__(self) -> str:
        return f"<graph of {', '.join(node.label for node in self.nodes) or 'nothing'}>"


#: Identities: `start >> a` and `a >> end` are `a`. They mark the ends of a workflow for the reader.
start = Graph()
end = start


def as_graph(part: object) -> Graph:
    """A node, a graph, a step function, or a list of these (which stand side by side) as a graph.

    Raises:
        WrongTypeError: anything else, with what it is and what was probably meant.
    """
    if isinstance(part, Composable):
        return part.as_graph()
    if isinstance(part, list | tuple):
        return in_parallel(part)
    to_node = getattr(type(part), "__meson_node__", None)
    if to_node is not None:
        node: Composable = to_node(part)
        return node.as_graph()
    raise _not_a_part(part)


def _not_a_part(part: object) -> WrongTypeError:
    if isinstance(part, Value):
        msg = f"{part.text} is a value, not a part of a workflow"
        hint = "bind it as an argument: step(name=value); a bound value orders the steps by itself"
    elif callable(part) and hasattr(part, "__code__"):
        name = getattr(part, "__name__", "it")
        msg = f"{name} is a plain function, not a step"
        hint = f"write @step above def {name}"
    else:
        msg = f"{part!r} ({type(part).__name__}) is not a part of a workflow"
        hint = "compose steps, for_each(...)(...), repeat(...), choose(...), workflows, and lists of these"
    return WrongTypeError(msg, where=here(), hint=hint)


def in_sequence(parts: Iterable[object]) -> Graph:
    """The parts one after the other: every sink of one comes before every source of the next.

    Raises:
        CycleError: a node would come before itself.
    """
    return _join(parts, wired=True)


def in_parallel(parts: Iterable[object]) -> Graph:
    """The parts side by side.

    Raises:
        CycleError: they share nodes, in contradictory orders.
    """
    return _join(parts, wired=False)


def _join(parts: Iterable[object], *, wired: bool) -> Graph:
    nodes: dict[Node, None] = {}
    edges: set[tuple[Node, Node]] = set()
    sources: list[Node] = []
    sinks: list[Node] = []
    shared = False
    for part in parts:
        graph = as_graph(part)
        if not graph.nodes:
            continue
        shared = shared or any(node in nodes for node in graph.nodes)
        if wired:
            edges.update((before, after) for before in sinks for after in graph.sources)
            sources = sources or list(graph.sources)
            sinks = list(graph.sinks)
        else:
            sources.extend(graph.sources)
            sinks.extend(graph.sinks)
        nodes.update(dict.fromkeys(graph.nodes))
        edges.update(graph.edges)
    if shared:
        _refuse_cycle(nodes, edges)
        has_before = {after for _, after in edges}
        has_after = {before for before, _ in edges}
        sources = [node for node in nodes if node not in has_before]
        sinks = [node for node in nodes if node not in has_after]
    return Graph(tuple(nodes), frozenset(edges), tuple(sources), tuple(sinks))


def _refuse_cycle(nodes: Iterable[Node], edges: Iterable[tuple[Node, Node]]) -> None:
    after: dict[Node, list[Node]] = {node: [] for node in nodes}
    missing = dict.fromkeys(after, 0)
    for first, second in edges:
        after[first].append(second)
        missing[second] += 1
    free = [node for node, count in missing.items() if count == 0]
    while free:
        node = free.pop()
        del missing[node]
        for successor in after[node]:
            missing[successor] -= 1
            if missing[successor] == 0:
                free.append(successor)
    if not missing:
        return
    # Walking backwards inside what is left must come round.
    before = {second: first for first, second in edges if first in missing and second in missing}
    node = next(node for node in missing if node in before)
    trail: dict[Node, None] = {}
    while node not in trail:
        trail[node] = None
        node = before[node]
    names = [node.label for node in trail]
    loop = [*names[names.index(node.label) :], node.label][::-1]
    msg = f"these would wait for each other: {' >> '.join(loop)}"
    raise CycleError(
        msg, where=here(), hint="to do a part again, use repeat(...); for a second step of a kind, .named(...)"
    )


def sequence(*parts: object) -> Graph:
    """The parts one after the other: the verb for `a >> b >> c`."""
    return in_sequence(parts)


def parallel(*parts: object) -> Graph:
    """The parts side by side: the verb for `a | b | c`."""
    return in_parallel(parts)
