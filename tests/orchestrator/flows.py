"""Owns small workflows for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meson_core.spec.model import Constant, Expression, ForEach, Resources, Retry, Step, Workflow

if TYPE_CHECKING:
    from meson_core.spec.model import Node


def step(name: str, *after: str, kind: str = "python", outputs: str = "x", **fields: Any) -> Step:
    """A step; keyword arguments that are texts become inputs, `name=expression`."""
    known = {key: fields.pop(key) for key in list(fields) if key in Step.model_fields}
    inputs = {
        key: Expression(expr=value) if isinstance(value, str) else Constant(value=value)
        for key, value in fields.items()
    }
    declared = dict.fromkeys(outputs.split(), "any")
    return Step(name=name, kind=kind, after=after, inputs=inputs, outputs=declared, **known)


def flow(*body: Node, **fields: Any) -> Workflow:
    """A workflow of these nodes."""
    return Workflow(name="flow", body=body, **fields)


def chain(length: int, **fields: Any) -> Workflow:
    """Steps one after the other, each with the output of the one before."""
    first = step("s0", v=0, **fields)
    rest = [step(f"s{at}", v=f"s{at - 1}.x", **fields) for at in range(1, length)]
    return flow(first, *rest, outputs={"x": f"s{length - 1}.x"})


def fan(items: int, **fields: Any) -> Workflow:
    """A for_each of one step, and a step that gathers its outputs."""
    each = ForEach(
        name="each", variables={"i": Expression(expr=f"range({items})")}, body=(step("work", i="i"),), **fields
    )
    return flow(each, step("gather", all="work.x"), outputs={"all": "gather.x"})


__all__ = ["Resources", "Retry", "chain", "fan", "flow", "step"]
