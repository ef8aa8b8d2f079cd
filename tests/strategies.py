"""Owns random workflows for tests: always valid, with every kind of node, nested freely, with references across scopes.

`random_workflow(rng)` needs nothing but a `random.Random`; `workflows()` is the same as a Hypothesis strategy, which
shrinks. What a step does is in its inputs alone, so that any step kind can run them: `compute(inputs)` is the reference.

    seed    what its outputs depend on, beside its other inputs
    gives   its outputs, name → type
    fails   how many of its first attempts fail (only with `failures`)
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from meson_core.spec.model import (
    Binding,
    Branch,
    Choose,
    Constant,
    Expression,
    ForEach,
    Node,
    Parameter,
    Repeat,
    Resources,
    Retry,
    Step,
    Subworkflow,
    Workflow,
)
from meson_core.spec.states import FailureMode, Join

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from hypothesis.strategies import DrawFn, SearchStrategy

OUTPUT_TYPES = ("int", "float", "bool", "str", "list[int]")
DEFAULTS: dict[str, Any] = {"int": 3, "float": 0.5, "bool": True, "str": "abc", "list[int]": [4, 5]}


@dataclass(frozen=True)
class Style:
    """What random workflows are like.

    Args:
        depth: deepest nesting of composites.
        size: about how many nodes.
        copies: how many instances one step may have at most.
        kind: the step kind of all steps.
        options: the options of all steps.
        cpus: what steps may ask for.
        failures: whether attempts fail: some within the budget of retries, some beyond it.
        modes: failure modes that nodes may have; anything but `finish` only with `failures`.
        joins: joins of steps that refer to nothing.
        restorable: whether some steps ask for a result that is there already.
    """

    depth: int = 4
    size: int = 12
    copies: int = 30
    kind: str = "test"
    options: Mapping[str, Any] = field(default_factory=dict)
    cpus: Sequence[float] = (1.0,)
    failures: bool = False
    modes: Sequence[FailureMode] = (FailureMode.finish, FailureMode.ignore)
    joins: Sequence[Join] = (Join.all, Join.any, Join.none_failed)
    restorable: bool = False


def random_workflow(rng: random.Random, style: Style | None = None) -> Workflow:
    """A valid workflow that has not been checked yet; all its parameters have defaults."""
    return _Author(rng, style or Style()).workflow("random", {}, style_depth=0)[0]


def workflows(style: Style | None = None) -> SearchStrategy[Workflow]:
    """Valid workflows that have not been checked yet."""

    @st.composite
    def build(draw: DrawFn) -> Workflow:
        return random_workflow(draw(st.randoms(use_true_random=False)), style)

    return build()


def compute(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a step: a function of its inputs and of nothing else."""
    text = json.dumps({name: inputs[name] for name in sorted(inputs) if name != "fails"}, sort_keys=True)
    outputs: dict[str, Any] = {}
    for name, given in inputs["gives"].items():
        number = int.from_bytes(hashlib.sha256(f"{name}:{text}".encode()).digest()[:4], "big")
        outputs[name] = {
            "int": number % 10,
            "float": (number % 100) / 8,
            "bool": number % 3 == 0,
            "str": "abcdefgh"[: number % 5],
            "list[int]": [number // 7**at % 5 for at in range(number % 4)],
        }[given]
    return outputs


# --- how it is made -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """Something that an expression can name here.

    Args:
        text: how it is written.
        base: its type where it is made.
        shape: what has happened to it on the way, outermost first: "list" (gathered), "null" (may be absent).
    """

    text: str
    base: str
    shape: tuple[str, ...] = ()

    def behind(self, what: str) -> Seen:
        """The same from one level further out."""
        return replace(self, shape=(what, *self.shape))


class _Author:
    def __init__(self, rng: random.Random, style: Style) -> None:
        self.rng = rng
        self.style = style
        self.left = style.size
        self.count = 0

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    # nodes

    def workflow(
        self, name: str, given: dict[str, str], *, style_depth: int, copies: int = 1
    ) -> tuple[Workflow, list[Seen]]:
        outer, self.count = self.count, 0  # a namespace of its own: its names repeat those outside
        params = {
            f"p{at}": Parameter(type=kind, default=DEFAULTS[kind], required=False)
            for at, kind in enumerate(self.rng.choice(OUTPUT_TYPES) for _ in range(self.rng.randrange(1, 4)))
        }
        params |= {key: Parameter(type=kind) for key, kind in given.items()}
        seen = [Seen(key, parameter.type) for key, parameter in params.items()]
        body, exports = self.graph(seen, style_depth, copies)
        outputs: dict[str, str] = {}
        results: list[Seen] = []
        for at in range(self.rng.randrange(1, 3)):
            kind = self.rng.choice(("int", "bool", "list[int]"))
            outputs[f"o{at}"] = self.expression(kind, [*seen, *exports])
            results.append(Seen(f"o{at}", kind))
        self.count = outer
        return Workflow(name=name, params=params, body=body, outputs=outputs), results

    def graph(self, seen: list[Seen], depth: int, copies: int) -> tuple[tuple[Node, ...], list[Seen]]:
        """A graph, and what its nodes show to each other (and to what is around them, from further out)."""
        nodes: list[Node] = []
        exports: list[Seen] = []
        for _ in range(self.rng.randrange(1, 5) if depth else self.rng.randrange(2, 6)):
            node, more = self.node([*seen, *exports], depth, copies)
            count = self.rng.randrange(0, min(len(nodes), 2) + 1)
            after = tuple(sorted(previous.name for previous in self.rng.sample(nodes, count)))
            mode = self.rng.choice(self.style.modes) if self.style.failures and self.chance(30) else FailureMode.finish
            nodes.append(node.model_copy(update={"after": after, "on_failure": mode}))
            exports += more
            if self.left <= 0:
                break
        return tuple(nodes), exports

    def node(self, seen: list[Seen], depth: int, copies: int) -> tuple[Node, list[Seen]]:
        self.left -= 1
        if depth < self.style.depth and self.left > 0 and self.chance(45):
            make = [self.choose, self.subworkflow]
            if copies < self.style.copies:
                make += [self.for_each, self.for_each, self.repeat, self.repeat]
            return self.rng.choice(make)(seen, depth + 1, copies)
        return self.step(seen)

    def step(self, seen: list[Seen]) -> tuple[Node, list[Seen]]:
        name = self.name("s")
        gives = {f"{kind[0]}{at}": kind for at, kind in enumerate(self.some(OUTPUT_TYPES, 1, 3))}
        inputs: dict[str, Binding] = {
            "seed": Constant(value=self.rng.randrange(1000)),
            "gives": Constant(value=dict(gives)),
        }
        types: dict[str, str] = {}
        for at in range(self.rng.randrange(0, 3)):
            kind = self.rng.choice(OUTPUT_TYPES)
            inputs[f"in{at}"] = self.binding(kind, seen)
            if self.chance(50):
                types[f"in{at}"] = kind
        retry = Retry()
        if self.style.failures:
            fails = self.rng.choice((0, 0, 0, 1, 2, 9))
            inputs["fails"] = Constant(value=fails)
            retry = Retry(user=self.rng.choice((0, 1, 2)), backoff_s=0, max_backoff_s=0, jitter=0)
        asks: dict[str, Any] = {}
        if self.style.restorable and self.chance(50):
            asks["cache"] = self.rng.choice((False, True, "inputs"))
            if self.chance(50) or not asks["cache"]:
                asks["artifact"] = f"{name}/${{seed}}/${{{self.expression('int', seen)}}}"
        free = all(isinstance(binding, Constant) for binding in inputs.values())
        step = Step(
            name=name,
            kind=self.style.kind,
            options=dict(self.style.options),
            inputs=inputs,
            input_types=types,
            outputs=gives,
            resources=Resources(cpus=self.rng.choice(self.style.cpus)),
            retry=retry,
            join=self.rng.choice(self.style.joins) if free and not asks else Join.all,
            **asks,
        )
        return step, self.shown([Seen(f"{name}.{output}", kind) for output, kind in gives.items()])

    def shown(self, seen: list[Seen]) -> list[Seen]:
        """Where attempts fail, anything may be absent."""
        return [thing.behind("null") for thing in seen] if self.style.failures else seen

    def for_each(self, seen: list[Seen], depth: int, copies: int) -> tuple[Node, list[Seen]]:
        name = self.name("f")
        mode = self.rng.choice(("crossed", "zipped"))
        names = [f"{name}_v{at}" for at in range(self.rng.choice((1, 1, 2)))]
        room = self.style.copies // copies
        most = min(3, room if mode == "zipped" or len(names) == 1 else math.isqrt(room))
        variables: dict[str, Binding]
        if mode == "zipped" or self.chance(30):
            length = self.rng.randrange(0, most + 1)
            variables = {key: Constant(value=[self.rng.randrange(9) for _ in range(length)]) for key in names}
        else:
            texts = {key: self.expression("list[int]", seen) for key in names}
            variables = {key: Expression(expr=f"({text})[:{most}]") for key, text in texts.items()}
        inner = [*seen, *(Seen(key, "int") for key in names)]
        body, exports = self.graph(inner, depth, copies * most ** (len(names) if mode == "crossed" else 1))
        node = ForEach(
            name=name,
            variables=variables,
            mode=mode,
            max_parallel=self.rng.choice((None, None, 1, 2)),
            max_failed=self.rng.choice((0, 0, 1, 5)) if self.style.failures else 0,
            body=body,
        )
        return node, self.shown([thing.behind("list") for thing in exports])

    def repeat(self, seen: list[Seen], depth: int, copies: int) -> tuple[Node, list[Seen]]:
        name = self.name("r")
        # what has a bare name and one value here: parameters, loop variables, carried names
        names = [thing for thing in seen if "." not in thing.text]
        carried = self.some(names, 0, 2) if names else []
        most = self.rng.randrange(1, min(4, self.style.copies // copies + 1))
        body, exports = self.graph(seen, depth, copies * most)
        inside = [*seen, *exports]
        carry = {thing.text: self.expression(thing.base, inside, small=True) for thing in carried}
        until = self.until(exports, carry, carried)
        node = Repeat(
            name=name,
            until=until,
            max_iterations=most,
            on_exhausted=self.rng.choice(("continue", "fail")) if self.style.failures else "continue",
            carry=carry,
            body=body,
        )
        return node, self.shown(exports)

    def until(self, exports: list[Seen], carry: dict[str, str], carried: list[Seen]) -> str:
        inside = [*exports, *(thing for thing in carried if thing.text in carry)]
        if not inside or self.chance(10):
            return "False"
        return self.reduced(self.rng.choice(inside), "bool")

    def choose(self, seen: list[Seen], depth: int, copies: int) -> tuple[Node, list[Seen]]:
        name = self.name("c")
        branches: list[Branch] = []
        exports: list[Seen] = []
        for _ in range(self.rng.randrange(1, 3)):
            body, more = self.graph(seen, depth, copies)
            branches.append(Branch(when=self.expression("bool", seen), body=body))
            exports += more
        otherwise: tuple[Node, ...] = ()
        if self.chance(50):
            otherwise, more = self.graph(seen, depth, copies)
            exports += more
        node = Choose(name=name, branches=tuple(branches), otherwise=otherwise)
        return node, self.shown([thing.behind("null") for thing in exports])

    def subworkflow(self, seen: list[Seen], depth: int, copies: int) -> tuple[Node, list[Seen]]:
        name = self.name("w")
        given = {f"q{at}": kind for at, kind in enumerate(self.some(OUTPUT_TYPES, 0, 2))}
        inner, results = self.workflow(f"inner_{name}", given, style_depth=depth, copies=copies)
        inputs = {key: self.binding(kind, seen) for key, kind in given.items()}
        if self.chance(30):
            inputs["p0"] = self.binding(inner.params["p0"].type, seen)
        node = Subworkflow(name=name, workflow=inner, inputs=inputs)
        return node, self.shown([replace(result, text=f"{name}.{result.text}") for result in results])

    # expressions

    def some(self, things: Sequence[Any], least: int, most: int) -> list[Any]:
        return self.rng.sample(list(things), self.rng.randrange(least, min(most, len(things)) + 1))

    def binding(self, kind: str, seen: list[Seen]) -> Binding:
        if self.chance(25):
            return Constant(value=DEFAULTS[kind])
        return Expression(expr=self.expression(kind, seen))

    def expression(self, kind: str, seen: list[Seen], *, small: bool = False) -> str:
        """An expression of a type that never fails: what may be absent is asked for first."""
        near = [*seen[-6:], *self.some(seen, 0, 2)]
        text = self.reduced(self.rng.choice(near), kind) if near and self.chance(85) else repr(DEFAULTS[kind])
        if kind == "int" and near and self.chance(40):
            text = f"{text} {self.rng.choice('+-*')} {self.reduced(self.rng.choice(near), 'int')}"
        if kind == "bool" and near and self.chance(40):
            text = f"{text} {self.rng.choice(('and', 'or'))} not {self.reduced(self.rng.choice(near), 'bool')}"
        if kind == "int":
            return f"({text}) % {7 if small else 100}"
        return text

    def reduced(self, thing: Seen, kind: str) -> str:
        """One value of type `kind` out of something of any type and shape."""
        text = thing.text
        if thing.shape:
            if thing.shape[0] == "null":
                rest = self.reduced(replace(thing, shape=thing.shape[1:]), kind)
                return f"({rest} if {text} is not None else {DEFAULTS[kind]!r})"
            flat = thing.shape in (("list",), ("list", "null"))
            if flat and thing.base == "int" and self.chance(60):
                present = f"present({text})"
                return {
                    "int": f"sum({present})",
                    "float": f"float(max({present}, default=1))",
                    "bool": f"(len({present}) > 1)",
                    "str": f"str(min({present}, default=0))",
                    "list[int]": f"sorted({present})",
                }[kind]
            return self.scalar(f"len({text})", "int", kind)
        return self.scalar(text, thing.base, kind)

    @staticmethod
    def scalar(text: str, base: str, kind: str) -> str:
        if base == kind:
            return text
        number = {
            "int": text,
            "float": f"int({text})",
            "bool": f"int({text})",
            "str": f"len({text})",
            "list[int]": f"len({text})",
        }[base]
        return {
            "int": number,
            "float": f"({number} / 4)",
            "bool": f"({number} % 2 == 0)",
            "str": f"str({number})",
            "list[int]": f"range({number} % 4)",
        }[kind]
