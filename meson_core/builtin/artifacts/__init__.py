"""Owns the built-in artifact types and visualizers, and what they share.

    reading      the bytes of a version as text, JSON or rows, within bounds
    documents    the types `json`, `text` and `file`
    tables       the type `table`
    arrays       the type `numpy`
    figures      the type `figure`
    folders      the type `directory`
    pickles      the type `pickle`
    charts       how charts look: frame, colours, x axis
    preview      the visualizer `table`: the beginning of a table
    metric       the visualizer `metric`: single numbers from version to version
    distribution the visualizer `distribution`: histogram, or quantiles over versions
    convergence  the visualizer `convergence`: a metric at each iteration of a repeat
    importance   the visualizer `importance`: a stream graph of feature importance over dates

Libraries that understand one format are imported when such bytes are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.builtin.artifacts.arrays import Array
from meson_core.builtin.artifacts.convergence import LoopConvergence
from meson_core.builtin.artifacts.distribution import Distribution
from meson_core.builtin.artifacts.documents import File, Json, Text
from meson_core.builtin.artifacts.figures import Figure
from meson_core.builtin.artifacts.folders import Directory
from meson_core.builtin.artifacts.importance import ImportanceOverDates
from meson_core.builtin.artifacts.metric import MetricOverRuns
from meson_core.builtin.artifacts.pickles import Pickle
from meson_core.builtin.artifacts.preview import TablePreview
from meson_core.builtin.artifacts.tables import Table
from meson_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from meson_core.artifacts import ArtifactType, Visualizer


@hookimpl
def meson_artifact_types() -> list[ArtifactType]:
    """The built-in artifact types."""
    return [Json(), Text(), File(), Directory(), Table(), Figure(), Array(), Pickle()]


@hookimpl
def meson_visualizers() -> list[Visualizer]:
    """The built-in visualizers."""
    return [TablePreview(), MetricOverRuns(), Distribution(), LoopConvergence(), ImportanceOverDates()]
