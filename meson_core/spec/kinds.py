"""Owns what the checks need to know of step kinds: their options and outputs, and which plugins did not load."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydantic import BaseModel, ValidationError

from meson_core.errors import nearest
from meson_core.spec.load import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class OptionProblem(NamedTuple):
    """One thing that is wrong with the options of a step.

    Args:
        path: keys and positions, outermost first.
        message: what was expected, and the value that was met.
        hint: what to do next.
    """

    path: tuple[str | int, ...]
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class KindFacts:
    """A step kind that is installed.

    Args:
        name: what a step's `kind` says.
        validate: finds what is wrong with options; None accepts all.
        schema: JSON Schema of its options.
        inputs: types of inputs that the kind fixes, name → type.
        outputs: outputs that every step of the kind has, name → type.
        open_outputs: whether a step may declare further outputs.
    """

    name: str
    validate: Callable[[Mapping[str, Any]], list[OptionProblem]] | None = None
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    open_outputs: bool = True

    @classmethod
    def of(
        cls,
        name: str,
        options: type[BaseModel],
        *,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        open_outputs: bool = True,
    ) -> KindFacts:
        """The facts of a kind whose options are a pydantic model."""
        return cls(
            name=name,
            validate=lambda given: option_problems(options, given),
            schema=options.model_json_schema(),
            inputs=dict(inputs or {}),
            outputs=dict(outputs or {}),
            open_outputs=open_outputs,
        )


@dataclass(frozen=True, slots=True)
class BrokenKind:
    """A plugin that is installed, but did not load; steps of its kind cannot run.

    Args:
        plugin: its entry-point name, which is also taken for the name of its kind.
        error: why it did not load.
        distribution: what it was installed from, when known.
    """

    plugin: str
    error: str
    distribution: str | None = None


#: By kind name (for a broken plugin: its entry-point name).
Kinds: TypeAlias = "Mapping[str, KindFacts | BrokenKind]"


def option_problems(options: type[BaseModel], given: Mapping[str, Any]) -> list[OptionProblem]:
    """What a model of options finds wrong with what a step gives."""
    try:
        options.model_validate(dict(given))
    except ValidationError as error:
        problems: list[OptionProblem] = []
        for detail in error.errors(include_url=False):
            path = detail["loc"]
            if detail["type"] == "extra_forbidden":
                known = options.model_fields if len(path) == 1 else {}
                close = nearest(str(path[-1]), known)
                hint = f"did you mean {close!r}?" if close else f"there are: {', '.join(known)}" if known else None
                problems.append(OptionProblem(path, "there is no such option", hint))
            else:
                problems.append(OptionProblem(path, explain(detail).message))
        return problems
    return []
