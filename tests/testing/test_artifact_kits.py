"""Owns the proof that each check of the kits for artifact types and visualizers can fail: by one that is wrong in just that."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict

from meson_core.artifacts import ArtifactVersion, TableView, TextView, VegaLite, View
from meson_core.errors import ArtifactError
from meson_core.testing.artifacts import ArtifactTypeKit, VisualizerKit
from tests.testing.judging import checks_of, found_out_by

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONTENTS = (b'{"a": 1, "b": 2}', b'{"a": 1, "b": 3}', b'{"c": 0.5}')


def read(version: ArtifactVersion) -> dict[str, Any]:
    with version.open() as file:
        return parse(file)


def parse(file: BinaryIO) -> dict[str, Any]:
    try:
        found = json.load(file)
    except ValueError as error:
        raise ArtifactError(f"these are no weights: {error}") from None
    if not isinstance(found, dict):
        raise ArtifactError("these are no weights")
    return found


# --- artifact types -----------------------------------------------------------------------------------------------


class RightType:
    """Weights by name; subclasses do one thing wrong."""

    name: str = "weights"
    media: Sequence[str] = ("application/vnd.weights+json",)
    suffixes: Sequence[str] = (".weights",)

    def fingerprint(self, file: BinaryIO) -> str:
        return json.dumps(parse(file), sort_keys=True)

    def preview(self, version: ArtifactVersion) -> View:
        rows = sorted(read(version).items())
        return TableView(("name", "weight"), rows, len(rows))

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        return TextView(f"{read(old)} became {read(new)}", syntax="diff")

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        values = [{"number": one.record.number, "weight": sum(read(one).values())} for one in versions]
        return VegaLite({"data": {"values": values}, "mark": "line"})


class TypeWithoutName(RightType):
    name = "my weights"


class TypeInCapitals(RightType):
    suffixes = (".Weights",)


class TypeWithParameters(RightType):
    media = ("text/plain; charset=utf-8",)


class SeesTheBytesOnly(RightType):
    def fingerprint(self, file: BinaryIO) -> str:
        content = file.read()
        parse(io.BytesIO(content))
        return str(content)


class CountsOnly(RightType):
    def fingerprint(self, file: BinaryIO) -> str:
        return str(len(parse(file)))


class ShowsHalfRows(RightType):
    def preview(self, version: ArtifactVersion) -> View:
        return TableView(("name", "weight"), [[name] for name in read(version)], 3)


class ShowsNoView(RightType):
    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> Any:
        return f"{read(old)} became {read(new)}"


class ComparesTwo(RightType):
    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        first, second, *_ = versions
        return self.diff(first, second)


class CountsItsCalls(RightType):
    calls: ClassVar[Counter[str]] = Counter()

    def preview(self, version: ArtifactVersion) -> View:
        self.calls["preview"] += 1
        return TextView(f"{read(version)}, seen {self.calls['preview']} times")


class StumblesOverNothing(RightType):
    def fingerprint(self, file: BinaryIO) -> str:
        return json.dumps(json.load(file), sort_keys=True)


class LeavesTypesOpen(RightType):
    def preview(self, version: ArtifactVersion) -> View:
        return TextView(str(parse(version.open())))


TYPES: dict[type[RightType], str] = {
    TypeWithoutName: "it_is_what_its_hook_declares",
    TypeInCapitals: "its_artifacts_are_known_by_their_names",
    TypeWithParameters: "its_artifacts_are_known_by_their_names",
    SeesTheBytesOnly: "equal_content_has_an_equal_fingerprint",
    CountsOnly: "other_content_has_another_fingerprint",
    ShowsHalfRows: "a_version_can_be_shown",
    ShowsNoView: "a_change_can_be_shown",
    ComparesTwo: "many_versions_can_be_followed",
    CountsItsCalls: "the_same_is_shown_the_same",
    StumblesOverNothing: "what_is_not_of_its_type_is_told",
    LeavesTypesOpen: "it_closes_what_it_opens",
}


class TypeKit(ArtifactTypeKit):
    contents = CONTENTS
    equal: ClassVar[Sequence[tuple[bytes, bytes]]] = ((b'{"a": 1, "b": 2}', b'{"b":2,"a":1}'),)
    wrong = (b"[1]", b"\xff\x00")


def test_an_artifact_type_that_is_right_passes(tmp_path: Path) -> None:
    kit = TypeKit()
    kit.artifact_type = RightType()  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) == set()


@pytest.mark.parametrize("artifact_type", TYPES, ids=[one.__name__ for one in TYPES])
def test_a_wrong_artifact_type_is_found_out_by_its_check(artifact_type: type[RightType], tmp_path: Path) -> None:
    kit = TypeKit()
    kit.artifact_type = artifact_type()  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) == {TYPES[artifact_type]}


# --- visualizers --------------------------------------------------------------------------------------------------


class StrictOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: str = "red"


class Right:
    """Draws the sum of weights; subclasses do one thing wrong."""

    name: str = "sums"
    types: Any = ("weights",)
    Options: type[BaseModel] = StrictOptions

    def draw(self, versions: Sequence[ArtifactVersion], options: Any) -> View:
        values = [{"day": one.record.params["date"], "sum": self.sum(one)} for one in versions]
        return VegaLite({"data": self.data(values), "mark": "bar"})

    def sum(self, version: ArtifactVersion) -> float:
        return float(sum(read(version).values()))

    def data(self, values: list[dict[str, Any]]) -> dict[str, Any]:
        return {"values": values}


class OfOneType(Right):
    types = "weights"


class WithoutSchema(Right):
    class Options(BaseModel, extra="forbid", arbitrary_types_allowed=True):
        loop: asyncio.AbstractEventLoop | None = None


class WithAnyOptions(Right):
    class Options(BaseModel): ...


class NeedsTwo(Right):
    def draw(self, versions: Sequence[ArtifactVersion], options: Any) -> View:
        if len(versions) > 1:
            return super().draw(versions, options)
        self.sum(versions[0])
        return VegaLite({"data": {"url": "https://example.org/data.json"}})


class IsFullSoon(Right):
    def draw(self, versions: Sequence[ArtifactVersion], options: Any) -> View:
        sums = [float("nan") if number > 99 else self.sum(one) for number, one in enumerate(versions)]
        return VegaLite({"data": {"values": sums}})


class NeverTheSame(Right):
    def data(self, values: list[dict[str, Any]]) -> dict[str, Any]:
        return {"values": values, "name": str(id(values))}

    def draw(self, versions: Sequence[ArtifactVersion], options: Any) -> View:
        self.kept = [*getattr(self, "kept", ()), values := [{"sum": self.sum(one)} for one in versions]]
        return VegaLite({"data": self.data(values)})


class StumblesOverWhatItDoesNotKnow(Right):
    def sum(self, version: ArtifactVersion) -> float:
        with version.open() as file:
            return float(sum(json.load(file).values()))


class DrawsAnything(Right):
    def sum(self, version: ArtifactVersion) -> float:
        try:
            return super().sum(version)
        except ArtifactError:
            return 0.0


class LeavesFilesOpen(Right):
    def sum(self, version: ArtifactVersion) -> float:
        return float(sum(parse(version.open()).values()))


VISUALIZERS: dict[type[Right], str] = {
    OfOneType: "it_is_what_its_hook_declares",
    WithoutSchema: "its_options_have_a_schema",
    WithAnyOptions: "it_refuses_options_that_it_does_not_have",
    NeedsTwo: "one_version_is_drawn",
    IsFullSoon: "a_year_of_versions_is_drawn",
    NeverTheSame: "the_same_is_drawn_the_same",
    StumblesOverWhatItDoesNotKnow: "what_it_does_not_understand_is_told",
    DrawsAnything: "what_it_does_not_understand_is_told",
    LeavesFilesOpen: "it_closes_what_it_opens",
}


class Kit(VisualizerKit):
    contents = CONTENTS
    wrong = (b"[1]", b"\xff\x00")


def test_a_visualizer_that_is_right_passes(tmp_path: Path) -> None:
    kit = Kit()
    kit.visualizer = Right()  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) == set()


@pytest.mark.parametrize("visualizer", VISUALIZERS, ids=[one.__name__ for one in VISUALIZERS])
def test_a_wrong_visualizer_is_found_out_by_its_check(visualizer: type[Right], tmp_path: Path) -> None:
    kit = Kit()
    kit.visualizer = visualizer()  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) == {VISUALIZERS[visualizer]}


def test_every_check_can_fail() -> None:
    assert checks_of(ArtifactTypeKit) == set(TYPES.values())
    assert checks_of(VisualizerKit) == set(VISUALIZERS.values())
