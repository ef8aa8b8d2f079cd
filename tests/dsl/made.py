"""Owns small things that tests of authoring share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meson_core.dsl.build import build
from meson_core.errors import InvalidWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.errors import MesonError
    from meson_core.spec.model import Model


def without_places(model: Model) -> Any:
    """The plain data of a spec without what says where it was written."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key != "source"}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip(model.model_dump(mode="json"))


def line_of(marker: str, function: Callable[..., Any]) -> int:
    """The number of the line of a function that ends in the comment `# marker`."""
    code = function.__code__
    with open(code.co_filename, encoding="utf-8") as file:  # noqa: PTH123
        lines = file.read().splitlines()
    return next(
        number
        for number, line in enumerate(lines, start=1)
        if number > code.co_firstlineno and line.rstrip().endswith(f"# {marker}")
    )


def problems_of(workflow: Any) -> tuple[MesonError, ...]:
    """What is wrong with how a workflow was written."""
    with pytest.raises(InvalidWorkflowError) as caught:
        build(workflow)
    return caught.value.problems


def problem_of(workflow: Any) -> MesonError:
    """The only thing that is wrong with how a workflow was written."""
    problems = problems_of(workflow)

    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]
