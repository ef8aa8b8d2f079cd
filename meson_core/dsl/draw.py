"""Owns the distributions that a random sweep draws from: `draw.log_uniform(1e-4, 1)`.

A distribution is written into the definition as a call of the expression language, with the seed and the number of points
in it. Nothing is drawn here: the run draws, and the same seed gives the same points on every machine and every Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from meson_core.dsl.names import shown
from meson_core.dsl.places import here
from meson_core.dsl.steps import bindable
from meson_core.dsl.values import Value, expr, is_symbolic
from meson_core.errors import SpecError, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A number, or one that will be known during the run.
Number: TypeAlias = float | Value
__all__ = ["Distribution", "integers", "log_uniform", "normal", "one_of", "uniform"]


@dataclass(frozen=True, eq=False, slots=True)
class Distribution:
    """What the values of one variable are drawn from.

    Args:
        function: of the expression language.
        arguments: its last ones, behind the number of values, the seed and the name of the stream.
    """

    function: str
    arguments: tuple[Any, ...]

    def drawn(self, n: int | Value, seed: int | Value, stream: str) -> Value:
        """The list of values, as an expression."""
        named = {f"a{at}": argument for at, argument in enumerate(self.arguments)}
        text = "".join(f", {{{name}}}" for name in named)
        return expr(f"{self.function}({{n}}, {{seed}}, {{stream}}{text})", n=n, seed=seed, stream=stream, **named)


def uniform(low: Number, high: Number) -> Distribution:
    """Numbers between two bounds, every one as likely as any other."""
    return _between("uniform", low, high)


def log_uniform(low: Number, high: Number) -> Distribution:
    """Numbers between two bounds above zero, every order of magnitude as likely as any other: learning rates, penalties."""
    if not isinstance(low, Value) and _number("log_uniform", low) <= 0:
        msg = f"draw.log_uniform: the bounds must be above 0, got {low}"
        raise SpecError(msg, where=here())
    return _between("log_uniform", low, high)


def integers(low: int | Value, high: int | Value) -> Distribution:
    """Whole numbers between two bounds, both of which may come."""
    for bound in (low, high):
        if not isinstance(bound, Value) and type(bound) is not int:
            msg = f"draw.integers: the bounds must be whole numbers, got {shown(bound)}"
            raise WrongTypeError(msg, where=here())
    return _between("integers", low, high)


def normal(mean: Number, sd: Number) -> Distribution:
    """Numbers around a mean.

    Args:
        mean: where they lie on average.
        sd: their standard deviation, 0 or more.
    """
    for value in (mean, sd):
        _number("normal", value)
    if not isinstance(sd, Value) and sd < 0:
        msg = f"draw.normal: the standard deviation must be 0 or more, got {sd}"
        raise SpecError(msg, where=here())
    return Distribution("draw_normal", (mean, sd))


def one_of(items: Sequence[Any] | Value) -> Distribution:
    """Items of a list, each as likely as any other."""
    found = items if isinstance(items, Value) else bindable(items, "draw.one_of: the list", here())
    if not isinstance(found, Value) and (not isinstance(found, list) or not found):
        msg = f"draw.one_of: takes a list with something in it, got {shown(items)}"
        raise WrongTypeError(msg, where=here())
    return Distribution("draw_one_of", (found,))


def _between(name: str, low: Number, high: Number) -> Distribution:
    for bound in (low, high):
        _number(name, bound)
    if not is_symbolic((low, high)) and low > high:
        msg = f"draw.{name}: the lower bound comes first, got {low} and {high}"
        raise SpecError(msg, where=here())
    return Distribution(f"draw_{name}", (low, high))


def _number(name: str, value: Any) -> Any:
    if isinstance(value, Value) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    msg = f"draw.{name}: takes numbers, got {shown(value)}"
    raise WrongTypeError(msg, where=here())
