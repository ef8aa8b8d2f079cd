"""Owns the parameters of a run: what a declaration allows, texts from the command line as values, defaults."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from meson_core.errors import AuthoringError, ParameterError, UnknownNameError, Where, WrongTypeError
from meson_core.expressions import show
from meson_core.spec.types import ANY, FLOAT, INT, Type, check_value, parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.spec.model import Parameter

_WORDS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def bind_parameters(
    params: Mapping[str, Parameter],
    values: Mapping[str, Any],
    *,
    texts: Mapping[str, str] | None = None,
    workflow: str = "workflow",
    where: Where | None = None,
) -> dict[str, Any]:
    """The values of all parameters of a run, in the order of their declaration.

    Args:
        params: the declarations.
        values: JSON values by name.
        texts: values as texts (`-p alpha=0.2`), read by the declared type; they win over `values`.
        workflow: its name, for messages.
        where: its place, for messages.

    Raises:
        ParameterError: names that are not declared, values that are missing or refused; all of them at once.
    """
    problems: list[str] = []
    given = dict(values)
    for name, text in (texts or {}).items():
        if name in params:
            try:
                given[name] = coerce(text, parse_type(params[name].type))
            except ValueError as error:
                problems.append(f"{name}: {error}")
                given.pop(name, None)
                continue
        else:
            given[name] = text
    for name in given:
        if name not in params:
            unknown = UnknownNameError(f"there is no parameter {name!r}", name=name, known=params)
            problems.append(f"{unknown.message}; {unknown.hint}")
    bound: dict[str, Any] = {}
    for name, parameter in params.items():
        if name in given:
            problem = value_problem(given[name], parameter)
            if problem is not None:
                # Of a part of it, the problem begins with the place: `regions[1]: …`.
                problems.append(f"{name}{problem}" if problem.startswith("[") else f"{name}: {problem}")
            bound[name] = given[name]
        elif not parameter.required:
            bound[name] = parameter.default
        elif name not in (texts or {}):
            problems.append(f"{name}: a value is needed ({parameter.type})")
    if problems:
        if len(problems) == 1:
            message = f"the parameters of {workflow!r} have a problem: {problems[0]}"
        else:
            message = "\n  ".join([f"the parameters of {workflow!r} have {len(problems)} problems:", *problems])
        hint = None if params else "the workflow declares no parameters"
        raise ParameterError(message, where=where, hint=hint)
    return bound


def coerce(text: str, declared: Type) -> Any:
    """The value that a text on the command line spells; lists and dicts are JSON, `any` is JSON where it parses.

    Raises:
        ValueError: it spells no such value.
    """
    if declared.name == "str":
        return text
    if declared.name == "bool":
        if text.lower() not in _WORDS:
            message = f"expected bool (true or false), got {text!r}"
            raise ValueError(message)
        return _WORDS[text.lower()]
    try:
        if declared == INT:
            return int(text)
        if declared == FLOAT:
            return float(text)
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        if declared == ANY:
            return text
        how = " as JSON" if declared not in (INT, FLOAT) else ""
        message = f"expected {declared}{how}, got {text!r}"
        raise ValueError(message) from None
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def value_problem(value: Any, parameter: Parameter) -> str | None:
    """Why a declaration refuses a value, or None."""
    if value is None and not parameter.required and parameter.default is None:
        return None
    return check_value(value, parse_type(parameter.type)) or _constraint_problem(value, parameter)


def _constraint_problem(value: Any, parameter: Parameter) -> str | None:
    if parameter.choices is not None and not any(_same(value, choice) for choice in parameter.choices):
        return f"must be one of {', '.join(map(show, parameter.choices))}, got {show(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        for bound, sign, holds in (
            (parameter.ge, "≥", parameter.ge is None or value >= parameter.ge),
            (parameter.gt, ">", parameter.gt is None or value > parameter.gt),
            (parameter.le, "≤", parameter.le is None or value <= parameter.le),
            (parameter.lt, "<", parameter.lt is None or value < parameter.lt),
        ):
            if not holds:
                return f"must be {sign} {bound:g}, got {show(value)}"
    if isinstance(value, str | list | dict):
        unit = "characters" if isinstance(value, str) else "items"
        if parameter.min_length is not None and len(value) < parameter.min_length:
            return f"needs at least {parameter.min_length} {unit}, got {show(value)}"
        if parameter.max_length is not None and len(value) > parameter.max_length:
            return f"has at most {parameter.max_length} {unit}, got {len(value)}"
    if isinstance(value, str) and parameter.pattern is not None and re.search(parameter.pattern, value) is None:
        return f"must match {parameter.pattern!r}, got {show(value)}"
    return None


def _same(value: Any, choice: Any) -> bool:
    """Equal as JSON: True is not 1."""
    return isinstance(value, bool) == isinstance(choice, bool) and bool(value == choice)


def declaration_problems(subject: str, parameter: Parameter, where: Where | None = None) -> list[AuthoringError]:
    """What is wrong with the declaration of a parameter itself.

    Args:
        subject: how messages call it.
        parameter: the declaration.
        where: its place.
    """
    try:
        declared = parse_type(parameter.type)
    except WrongTypeError as error:
        return [WrongTypeError(f"{subject}: {error.message}", where=where, hint=error.hint)]
    problems: list[AuthoringError] = []

    def wrong(message: str, hint: str | None = None) -> None:
        problems.append(ParameterError(f"{subject}: {message}", where=where, hint=hint))

    numbers = {key: getattr(parameter, key) for key in ("ge", "gt", "le", "lt") if getattr(parameter, key) is not None}
    if numbers and declared not in (INT, FLOAT, ANY):
        wrong(f"{', '.join(numbers)} only make sense for numbers, the type is {declared}")
    lengths = [key for key in ("min_length", "max_length") if getattr(parameter, key) is not None]
    if lengths and declared.name not in ("str", "list", "dict", "any"):
        wrong(f"{', '.join(lengths)} only make sense for texts, lists and dicts, the type is {declared}")
    if max(numbers.get("ge", -math.inf), numbers.get("gt", -math.inf)) > min(
        numbers.get("le", math.inf), numbers.get("lt", math.inf)
    ):
        wrong(f"no number is within its bounds ({', '.join(f'{key}={bound:g}' for key, bound in numbers.items())})")
    if parameter.pattern is not None:
        try:
            re.compile(parameter.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            wrong(f"pattern {parameter.pattern!r} is not a regular expression: {error}")
            return problems
    for choice in parameter.choices or ():
        mismatch = check_value(choice, declared)
        if mismatch is not None:
            problems.append(WrongTypeError(f"{subject}: choice {show(choice)}: {mismatch}", where=where))
    if parameter.choices == ():
        wrong("choices is empty, so that no value is allowed")
    if parameter.required and parameter.default is not None:
        wrong(f"it is required, so that its default {show(parameter.default)} never counts", "set required: false")
    if not parameter.required and parameter.default is not None and not problems:
        mismatch = check_value(parameter.default, declared)
        if mismatch is not None:
            problems.append(WrongTypeError(f"{subject}: its default: {mismatch}", where=where))
        else:
            refused = _constraint_problem(parameter.default, parameter)
            if refused is not None:
                wrong(f"its default {refused}")
    return problems
