"""Owns the tests of reading Python types: arguments and outputs of step functions."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from meson_core import Artifact, step
from meson_core.dsl.signatures import type_text
from meson_core.errors import SpecError, UnknownNameError, WrongTypeError


class Record(TypedDict):
    x: int
    y: NotRequired[list[float]]


@dataclasses.dataclass
class Data:
    model: Artifact
    scores: dict[str, float]


class OnlyResult(TypedDict):
    result: int


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"), (float, "float"), (bool, "bool"), (str, "str"), (Any, "any"), (object, "any"), (None, "any"),
        (list, "list[any]"), (tuple, "list[any]"), (dict, "dict[any]"), (pathlib.Path, "str"), (Artifact, "artifact"),
        (list[int], "list[int]"), (Sequence[Artifact], "list[artifact]"), (tuple[int, ...], "list[int]"),
        (tuple[int, str], "list[any]"), (dict[str, list[float]], "dict[list[float]]"), (Mapping[str, int], "dict[int]"),
        (Literal["a", "b"], "str"), (Literal[1, "b"], "any"), (Annotated[int, "positive"], "int"),
        (int | float, "float"), (int | None, "any"), (int | str, "any"), (Record, "dict[any]"),
        (Data, "dict[any]"), ("list[int]", "list[int]"), ("list", "list"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_python_type_means_a_type_of_the_spec(annotation: Any, text: str) -> None:
    assert text == type_text(annotation)


@pytest.mark.parametrize(
    "annotation",
    [set, bytes, complex, Data(None, {}), type, dict[int, str], set[int]],  # type: ignore[arg-type]
    ids=repr,
)
def test_what_json_cannot_carry_is_refused_with_what_can(annotation: Any) -> None:
    with pytest.raises(WrongTypeError) as caught:
        type_text(annotation)

    assert caught.value.hint


def _outputs(function: Any) -> dict[str, str]:
    return dict(step(function)().outputs)


def test_outputs_come_from_the_return_annotation() -> None:
    def record() -> Record:
        return {"x": 1}

    def data() -> Data:
        return Data(None, {})  # type: ignore[arg-type]

    def plain() -> list[int]:
        return []

    def nothing() -> None: ...
    def unsaid(): ...  # type: ignore[no-untyped-def]

    assert _outputs(record) == {"x": "int", "y": "list[float]"}
    assert _outputs(data) == {"model": "artifact", "scores": "dict[float]"}
    assert _outputs(plain) == {"result": "list[int]"}
    assert _outputs(nothing) == {}
    assert _outputs(unsaid) == {}


def test_outputs_of_the_decorator_win() -> None:
    def f() -> set[int]:
        return set()

    assert dict(step(outputs={"y": int, "z": "list[str]"})(f)().outputs) == {"y": "int", "z": "list[str]"}


def test_types_of_the_function_around_are_seen() -> None:
    class Local(TypedDict):
        z: int

    def f(given: object = None) -> Local:
        return Local(z=1)

    assert _outputs(f) == {"z": "int"}


@pytest.mark.parametrize(
    ("annotation", "error", "message"),
    [
        ("Recrd", UnknownNameError, "step f: its return annotation 'Recrd' names 'Recrd', which is not there"),
        ("set[int]", WrongTypeError, "step f returns set[int]: set[int] is not a type that a workflow can carry"),
        ("1 / 0", SpecError, "step f: its return annotation '1 / 0' cannot be read: division by zero"),
        (OnlyResult, SpecError, "has the one field 'result', which is what a plain return value is called"),
    ],
)
def test_an_annotation_that_means_nothing_is_told_with_the_function(
    annotation: Any, error: type[SpecError], message: str
) -> None:
    def f() -> None: ...

    f.__annotations__["return"] = annotation
    with pytest.raises(error) as caught:
        step(f)()

    assert message in caught.value.message
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.line) == (__file__, f.__code__.co_firstlineno)


def test_fields_that_mean_nothing_are_told_with_the_function() -> None:
    class Broken(TypedDict):
        x: Nowhere  # type: ignore[name-defined] # noqa: F821

    def f(given: object = None) -> Broken:
        return Broken(x=1)

    with pytest.raises(
        SpecError, match=r"step f: the fields of .*Broken cannot be read: name 'Nowhere' is not defined"
    ):
        step(f)()


def test_the_nearest_name_is_given_for_a_misspelt_annotation() -> None:
    def f() -> Recrd: ...  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(UnknownNameError) as caught:
        step(f)()

    assert caught.value.hint == "did you mean 'Record'?"


def test_arguments_of_unknown_types_take_anything() -> None:
    def f(frame: set[int], missing: Nowhere, y: float = 1.0) -> None: ...  # type: ignore[name-defined] # noqa: F821

    node = step(f)(frame=1, missing=2)

    assert node.takes is not None
    assert [(argument.name, argument.type, argument.required) for argument in node.takes] == [
        ("frame", "any", True),
        ("missing", "any", True),
        ("y", "any", False),
    ]
