"""Owns joining nodes of documents into graphs, by the rule of `>>` and `|`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Part:
    """Some nodes, as data of the spec.

    Args:
        nodes: in the order in which they were written.
        sources: names of those with nothing before them here.
        sinks: names of those with nothing after them here.
    """

    nodes: tuple[dict[str, Any], ...] = ()
    sources: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()

    @classmethod
    def of(cls, node: dict[str, Any]) -> Part:
        """A single node."""
        return cls((node,), (node["name"],), (node["name"],))


def _after(node: dict[str, Any]) -> list[str]:
    """What a node says that it comes after; a node in full is not checked yet and may say anything."""
    said = node.get("after")
    return [name for name in said if isinstance(name, str)] if isinstance(said, list) else []


def in_order(part: Part) -> list[dict[str, Any]]:
    """The nodes, each with its predecessors in the order in which these were written."""
    position = {node["name"]: at for at, node in enumerate(part.nodes)}
    last = len(position)
    return [
        {**node, "after": sorted(_after(node), key=lambda name: position.get(name, last))} if _after(node) else node
        for node in part.nodes
    ]


def in_parallel(parts: Iterable[Part]) -> Part:
    """The parts side by side, but for what their nodes say in `after`."""
    nodes = tuple(node for part in parts for node in part.nodes)
    names = dict.fromkeys(node["name"] for node in nodes)
    followed = {name for node in nodes for name in _after(node)}
    sources = tuple(node["name"] for node in nodes if not any(name in names for name in _after(node)))
    return Part(nodes, sources, tuple(name for name in names if name not in followed))


def in_sequence(parts: Iterable[Part]) -> Part:
    """The parts one after the other: every sink of one comes before every source of the next."""
    nodes: list[dict[str, Any]] = []
    sources: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()
    for part in parts:
        if not part.nodes:
            continue
        for node in part.nodes:
            if node["name"] in part.sources:
                nodes.append({**node, "after": list(dict.fromkeys((*sinks, *_after(node))))})
            else:
                nodes.append(node)
        sources = sources or part.sources
        sinks = part.sinks
    return Part(tuple(nodes), sources, sinks)
