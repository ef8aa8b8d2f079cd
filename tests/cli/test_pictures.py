"""Owns the tests of `mesonctl artifacts plot` and `diff`: on the versions that real runs have made, as pictures and files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

FLOW = """
from typing import TypedDict

from meson_core import Artifact, ctx, for_each, param, repeat, step, workflow


class Trained(TypedDict):
    loss: Artifact
    alpha: float


class Measured(TypedDict):
    importance: Artifact


@step
def train(alpha: float) -> Trained:
    return {"loss": ctx.put({"loss": 0.3 + alpha}, type="json"), "alpha": alpha / 2}


@step
def measure(date: str) -> Measured:
    day = int(date[-2:])
    rows = [{"date": date, "feature": name, "predictionDecrease": day * sign} for name, sign in (("genre", -2), ("age", 1))]
    return {"importance": ctx.put(rows, type="table")}


alpha = param("alpha", float, default=1.0)
trained = train(alpha=alpha)
looped = repeat(trained, until="train.alpha < LEAST", max_iterations=4, carry={"alpha": trained.output["alpha"]})
each = for_each(date=["2026-01-01", "2026-01-02", "2026-01-03"])
NAME = workflow("NAME", looped | each(measure(date=each.date)))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with Project.made(tmp_path_factory.mktemp("pictures") / "project") as made:
        made.write("stable.py", FLOW.replace("NAME", "stable").replace("LEAST", "0.3"))
        made.write("restless.py", FLOW.replace("NAME", "restless").replace("LEAST", "0.0"))
        for name in ("stable", "restless"):
            done = made.mesonctl("run", f"{name}.py")
            assert done.code == 0, done.err
        yield made


def test_a_stream_graph_of_what_a_loop_over_dates_has_made(project: Project, tmp_path: Path) -> None:
    files = [tmp_path / f"importance.{suffix}" for suffix in ("html", "svg", "png")]
    outs = [part for file in files for part in ("--out", str(file))]
    done = project.mesonctl("artifacts", "plot", "measure.importance", "--with", "importance", *outs)

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].strip() == "measure.importance over 3 dates"
    assert "genre" in done.out
    assert "2026-01-02" in done.out
    assert files[0].read_text().startswith("<!DOCTYPE html>")
    assert files[1].read_text().startswith("<svg")
    assert files[2].read_bytes().startswith(b"\x89PNG")


def test_the_convergence_of_a_loop_says_why_it_stopped(project: Project) -> None:
    def told(workflow: str) -> str:
        arguments = (
            "plot",
            "train.loss",
            "--with",
            "convergence",
            "--workflow",
            workflow,
            "--set",
            "target=0.4",
            "--json",
        )
        return str(project.mesonctl("artifacts", *arguments).json["spec"]["title"]["subtitle"][0])

    assert told("stable") == "stopped after 2 iterations: train.alpha < 0.3 held"
    assert told("restless") == "stopped after 4 iterations: 4 iterations were not enough"


def test_without_a_visualizer_the_artifact_type_draws(project: Project) -> None:
    one = project.mesonctl("artifacts", "plot", "train.loss@last")
    many = project.mesonctl("artifacts", "plot", "train.loss", "--run", "last", "--json").json

    assert one.out.splitlines()[1] == '  "loss": 0.425'
    assert many["view"] == "VegaLite"
    assert [row["x"] for row in many["spec"]["data"]["values"]] == ["1", "2", "3", "4"]
    assert len(many["versions"]) == 4


def test_the_two_latest_versions_are_compared(project: Project, tmp_path: Path) -> None:
    done = project.mesonctl("artifacts", "diff", "train.loss", "--out", str(tmp_path / "diff.html"))

    assert [line.split() for line in done.out.splitlines()[:3:2]] == [["path", "old", "new"], ["loss", "0.55", "0.425"]]
    assert "<td>loss</td>" in (tmp_path / "diff.html").read_text()


def test_two_versions_are_compared(project: Project) -> None:
    numbers = [
        str(each["number"])
        for each in project.mesonctl("artifacts", "list", "measure.importance", "--run", "last", "--json").json
        if each["items"]["date"] != "2026-01-03"
    ]
    view = project.mesonctl("artifacts", "diff", *sorted(numbers, key=int), "--json").json

    assert view["view"] == "TableView"
    assert view["columns"] == ["what", "old", "new"]
    assert ["rows that the other has not", 2, 2] in view["rows"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("plot", "train.los"), 4, "did you mean 'train.loss'?"),
        (("plot", "train.loss", "--with", "importanse"), 7, "did you mean 'importance'?"),
        (("plot", "measure.importance", "--with", "importance", "--set", "feature=name"), 6, "has no column 'name'"),
        (("plot", "train.loss", "--with", "metric", "--set", "colour=red"), 3, "its options: metric, along, by, unit"),
        (
            ("plot", "train.loss", "--set", "colour=red"),
            3,
            "visualizers for it: convergence, distribution, importance, metric",
        ),
        (("plot", "train.loss", "--workflow", "other"), 6, "there are versions of 'train.loss', but none like that"),
        (("plot", "train.loss", "--out", "loss.gif"), 2, "'loss.gif' ends with none of .html, .svg, .png"),
        (
            ("plot", "train.loss", "--out", "/no/such/folder/loss.svg"),
            6,
            "cannot be written: No such file or directory",
        ),
        (("plot", "train.loss@last", "--out", "loss.svg"), 6, "cannot be written as SVG"),
        (("diff", "1"), 6, "name two versions"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_drawn_is_told(project: Project, arguments: tuple[str, ...], code: int, told: str) -> None:
    done = project.mesonctl("artifacts", *arguments)

    assert told in done.err
    assert (done.code, done.out) == (code, "")


def test_programs_get_the_view_as_json(project: Project) -> None:
    view = project.mesonctl("artifacts", "plot", "measure.importance@last", "--with", "table", "--json").json

    assert view["columns"] == ["date", "feature", "predictionDecrease"]
    assert json.dumps(view["rows"][0]).startswith('["2026-01-0')
