r"""Owns the kits for artifact types and for visualizers: what every one of them must do, whatever it shows.

    class TestFasta(ArtifactTypeKit):
        artifact_type = my_plugin.Fasta()
        contents = (b">a\nACGT\n", b">a\nACGA\n")

    class TestLengths(VisualizerKit):
        visualizer = my_plugin.Lengths()
        contents = (b">a\nACGT\n", b">a\nACGA\n")

Contents are versions of one artifact, from the oldest to the newest; no two of them mean the same.
"""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from meson_core.artifacts import FALLBACK
from meson_core.errors import ArtifactError
from meson_core.plugins.conformance import ConformanceError, checked_answer
from meson_core.testing.versions import Shelf, wrong_with

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import BaseModel

    from meson_core.artifacts import ArtifactType, ArtifactVersion, View, Visualizer

#: Versions that a visualizer is shown at once: one a day for a year.
MANY = 365


class ArtifactTypeKit:
    """The checks; a subclass whose name begins with `Test` sets `artifact_type` and `contents`."""

    artifact_type: ClassVar[ArtifactType]
    """The artifact type."""
    contents: ClassVar[Sequence[bytes]]
    """Bytes of two versions or more, no two of which mean the same."""
    equal: ClassVar[Sequence[tuple[bytes, bytes]]] = ()
    """Pairs of different bytes that mean the same."""
    wrong: ClassVar[Sequence[bytes]] = ()
    """Bytes that are not of this type."""
    meta: ClassVar[Mapping[str, Any]] = {}
    """What an artifact value of this type says of itself."""

    def _shelf(self, contents: Sequence[bytes] | None = None) -> Shelf:
        kind = self.artifact_type
        suffix = next(iter(kind.suffixes), "")
        media = next(iter(kind.media), "application/octet-stream")
        given = self.contents if contents is None else contents
        return Shelf(given, type=kind.name, file=f"data{suffix}", media=media, meta=self.meta)

    def _views(self, shelf: Shelf) -> list[View]:
        """Everything that it shows of some versions."""
        kind, versions = self.artifact_type, shelf.versions
        views = [kind.preview(version) for version in versions]
        views += [kind.diff(old, new) for old, new in itertools.pairwise(versions)]
        followed = kind.over_time(versions)
        return views if followed is None else [*views, followed]

    def test_it_is_what_its_hook_declares(self) -> None:
        try:
            checked_answer("meson_artifact_types", [self.artifact_type])
        except ConformanceError as error:
            raise AssertionError(str(error)) from None

    def test_its_artifacts_are_known_by_their_names(self) -> None:
        """Suffixes are looked for at the end of small letters, media types without their parameters."""
        suffixes, media = list(self.artifact_type.suffixes), list(self.artifact_type.media)
        assert [one for one in suffixes if not one.startswith(".") or one != one.lower()] == []
        assert [one for one in media if one.count("/") != 1 or ";" in one or one != one.lower()] == []

    def test_equal_content_has_an_equal_fingerprint(self) -> None:
        """A step is skipped when the fingerprints of its inputs are those of an earlier result."""
        for content in self.contents:
            assert self._fingerprint(content) == self._fingerprint(content)
        for one, other in self.equal:
            assert self._fingerprint(one) == self._fingerprint(other)

    def test_other_content_has_another_fingerprint(self) -> None:
        """Or a step would be skipped that is to be done."""
        assert len(self.contents) > 1, "give two contents or more"
        found: list[Any] = [self._fingerprint(content) for content in self.contents]
        assert all(isinstance(fingerprint, str) and fingerprint for fingerprint in found)
        assert len(set(found)) == len(found), found

    def test_a_version_can_be_shown(self) -> None:
        for version in self._shelf().versions:
            assert wrong_with(self.artifact_type.preview(version)) == ""

    def test_a_change_can_be_shown(self) -> None:
        for old, new in itertools.permutations(self._shelf().versions[:3], 2):
            assert wrong_with(self.artifact_type.diff(old, new)) == ""
        version = self._shelf().versions[0]
        assert wrong_with(self.artifact_type.diff(version, version)) == ""

    def test_many_versions_can_be_followed(self) -> None:
        """None says that there is nothing to see."""
        for number in (1, 2, len(self.contents)):
            view = self.artifact_type.over_time(self._shelf().versions[:number])
            assert view is None or wrong_with(view) == ""

    def test_the_same_is_shown_the_same(self) -> None:
        assert self._views(self._shelf()) == self._views(self._shelf())

    def test_what_is_not_of_its_type_is_told(self) -> None:
        """Names lie; an empty file is the usual case. Told is `ArtifactError`; nothing else comes out."""
        for content in (b"", *self.wrong):
            try:
                self._fingerprint(content)
                self._views(self._shelf([content, content]))
            except ArtifactError:
                continue
            assert content not in self.wrong, f"{content[:40]!r} was taken for a {self.artifact_type.name}"

    def test_it_closes_what_it_opens(self) -> None:
        shelf = self._shelf()
        self._views(shelf)
        assert shelf.left_open == 0

    def _fingerprint(self, content: bytes) -> str:
        return self.artifact_type.fingerprint(io.BytesIO(content))


class VisualizerKit:
    """The checks; a subclass whose name begins with `Test` sets `visualizer` and `contents`."""

    visualizer: ClassVar[Visualizer]
    """The visualizer."""
    contents: ClassVar[Sequence[bytes]]
    """Bytes of one version or more that it understands, from the oldest to the newest."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Options, as on the command line."""
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """Options that the model must refuse."""
    wrong: ClassVar[Sequence[bytes]] = ()
    """Bytes that it does not understand."""
    type: ClassVar[str] = ""
    """Artifact type of the contents; by default the first that it accepts."""
    file: ClassVar[str] = "data"
    """Name of their file."""
    media: ClassVar[str] = "application/octet-stream"
    """Their media type."""
    meta: ClassVar[Mapping[str, Any]] = {}
    """What their artifact values say of themselves."""

    def _shelf(self, contents: Sequence[bytes]) -> Shelf:
        type_ = self.type or next(iter(self.visualizer.types), FALLBACK)
        return Shelf(contents, type=type_, file=self.file, media=self.media, meta=self.meta)

    def _options(self) -> BaseModel:
        return self.visualizer.Options.model_validate(dict(self.options))

    def _drawn(self, contents: Sequence[bytes]) -> View:
        return self._draw(self._shelf(contents).versions)

    def _draw(self, versions: Sequence[ArtifactVersion]) -> View:
        return self.visualizer.draw(versions, self._options())

    def test_it_is_what_its_hook_declares(self) -> None:
        try:
            checked_answer("meson_visualizers", [self.visualizer])
        except ConformanceError as error:
            raise AssertionError(str(error)) from None

    def test_its_options_have_a_schema(self) -> None:
        """The schema is the form in the terminal and on the page."""
        try:
            schema = self.visualizer.Options.model_json_schema()
        except PydanticInvalidForJsonSchema as error:
            raise AssertionError(f"the options have no JSON Schema: {error.message}") from None
        assert schema["type"] == "object"

    def test_it_refuses_options_that_it_does_not_have(self) -> None:
        for wrong in ({**self.options, "surely_no_option": 1}, *self.wrong_options):
            with pytest.raises(ValidationError):
                self.visualizer.Options.model_validate(dict(wrong))

    def test_one_version_is_drawn(self) -> None:
        for content in self.contents:
            assert wrong_with(self._drawn([content])) == ""

    def test_a_year_of_versions_is_drawn(self) -> None:
        contents = list(itertools.islice(itertools.cycle(self.contents), MANY))
        assert wrong_with(self._drawn(contents)) == ""

    def test_the_same_is_drawn_the_same(self) -> None:
        assert self._drawn(self.contents) == self._drawn(self.contents)

    def test_what_it_does_not_understand_is_told(self) -> None:
        """An empty file is the usual case. Told is `ArtifactError`; nothing else comes out."""
        for content in (b"", *self.wrong):
            for contents in ([content], [*self.contents, content]):
                if not self._told(lambda contents=contents: self._drawn(contents)):  # type: ignore[misc]
                    assert content not in self.wrong, f"{content[:40]!r} was drawn"

    def test_it_closes_what_it_opens(self) -> None:
        shelf = self._shelf(self.contents)
        self._draw(shelf.versions)
        assert shelf.left_open == 0

    @staticmethod
    def _told(draw: Callable[[], object]) -> bool:
        try:
            draw()
        except ArtifactError:
            return True
        return False
