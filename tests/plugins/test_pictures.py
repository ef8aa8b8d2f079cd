"""Owns the tests of pictures that strangers' plugins draw: a fault is told as theirs, and what is not installed is a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.artifacts import TableView, TextView
from meson_core.client.pictures import difference, picture
from meson_core.errors import ArtifactError, PluginBrokenError
from meson_core.plugins import Plugins, load_plugins
from meson_core.testing.versions import Shelf

if TYPE_CHECKING:
    from tests.plugins.installed import Site

CODE = """
from pydantic import BaseModel
from meson_core.artifacts import TextView
from meson_core.errors import ArtifactError
from meson_core.hookspecs import hookimpl


class Reads:
    name = "reads"
    media = ()
    suffixes = (".reads",)

    def fingerprint(self, file):
        return file.read().decode()

    def preview(self, version):
        return TextView(version.record.name)

    def diff(self, old, new):
        return old.record.nothing_like_it

    def over_time(self, versions):
        return None


class Lengths:
    name = "lengths"
    types = ("reads",)

    class Options(BaseModel):
        mood: str = "broken"

    def draw(self, versions, options):
        if options.mood == "told":
            raise ArtifactError("these are no reads")
        raise ZeroDivisionError("by the length\\nof nothing")


@hookimpl
def meson_artifact_types():
    return [Reads()]


@hookimpl
def meson_visualizers():
    return [Lengths()]
"""


@pytest.fixture
def plugins(site: Site) -> Plugins:
    site.install("lengths", CODE, distribution="meson-lengths", version="2.1", shared="")
    return load_plugins(only={"lengths", "artifacts"})


def test_a_visualizer_that_fails_is_named_with_its_distribution(plugins: Plugins) -> None:
    with pytest.raises(PluginBrokenError) as error:
        picture(plugins, Shelf([b"ACGT"], type="reads").versions, "lengths")

    assert error.value.message == (
        "the visualizer 'lengths' of 'lengths' of meson-lengths 2.1 failed: ZeroDivisionError: by the length of nothing"
    )


def test_an_artifact_type_that_fails_is_named_as_well(plugins: Plugins) -> None:
    with pytest.raises(
        PluginBrokenError, match=r"the artifact type .reads. of .lengths. of meson-lengths 2\.1 failed: Attr"
    ):
        difference(plugins, *Shelf([b"A", b"C"], type="reads").versions)


def test_what_a_visualizer_says_of_an_artifact_is_told_as_it_is(plugins: Plugins) -> None:
    with pytest.raises(ArtifactError, match=r"\Athese are no reads\Z"):
        picture(plugins, Shelf([b"ACGT"], type="reads").versions, "lengths", {"mood": "told"})


def test_types_that_a_visualizer_does_not_understand_are_told(plugins: Plugins) -> None:
    with pytest.raises(ArtifactError, match="is of the type text; the visualizer 'lengths' understands reads") as error:
        picture(plugins, Shelf([b"ACGT"], type="text").versions, "lengths")

    assert error.value.hint == "no visualizer understands it"


def test_many_versions_with_nothing_to_see_over_time_are_shown_by_the_newest(plugins: Plugins) -> None:
    assert picture(plugins, Shelf([b"A", b"C"], type="reads").versions) == TextView("train.result")


def test_an_artifact_of_a_type_that_is_not_installed_is_a_file(plugins: Plugins) -> None:
    view = picture(plugins, Shelf([b"ACGT"], type="genome").versions)

    assert isinstance(view, TableView)
    assert view.columns[:3] == ("number", "file", "bytes")
