"""Owns the tests of `mesonctl sweep`, with a sweep that has run: its points, its table, its best, failed and slowest."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

FLOW = '''
"""Two sweeps, one in the other."""

from meson_core import best, bootstrap, draw, param, step, sweep, workflow


@step
def measure(rate: float, size: int) -> dict[str, float]:
    if size == 3:
        raise ValueError("too large")
    return {"loss": rate * size}


@step
def estimate(sample: int, sample_seed: int) -> float:
    return sample_seed / 2**32


each = sweep(grid={"rate": [0.5, 0.25], "size": [1, 2, 3]}, max_failed=2, name="sizes")
sizes = each(measure(rate=each.rate, size=each.size))
winner = best(sizes, by="result.loss")
loss = bootstrap(estimate, n=param("n", int, default=5), seed=7)
wf = workflow("measured", sizes >> winner | loss, outputs={"point": winner.output["point"], "mean": loss.output["mean"]})
'''


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with a run of it."""
    with Project.made(tmp_path_factory.mktemp("swept") / "project") as made:
        made.write("flow.py", FLOW)
        done = made.mesonctl("run", "flow.py")
        assert done.code == 0, done
        yield made


def test_the_best_the_failed_and_the_slowest_are_shown(swept: Project) -> None:
    found = swept.mesonctl("sweep", "last", "sizes", "--limit", "2", "--json").json

    assert (found["by"], found["lowest"], found["begun"], found["succeeded"], found["failed"]) == (
        "result.loss",
        True,
        6,
        4,
        2,
    )
    assert [(item["point"], item["value"]) for item in found["best"]] == [
        ({"rate": 0.25, "size": 1}, 0.25),
        ({"rate": 0.5, "size": 1}, 0.5),
    ]
    assert [(item["point"]["size"], item["why"], item["state"]) for item in found["failures"]] == [
        (3, "ValueError: too large", "failed"),
        (3, "ValueError: too large", "failed"),
    ]
    assert [item["seconds"] for item in found["slowest"]] == sorted(
        (item["seconds"] for item in found["slowest"]), reverse=True
    )


def test_people_see_tables(swept: Project) -> None:
    told = swept.mesonctl("sweep", "last", "sizes", "--highest").out.splitlines()

    assert told[0] == "sizes  4 succeeded, 2 failed"
    assert told[2] == "best (highest result.loss)"
    assert told[3].split() == ["item", "rate", "size", "state", "took", "result.loss"]
    assert told[4].split()[1:4] == ["0.5", "2", "succeeded"]
    assert [line for line in told if "ValueError: too large" in line] == [
        line for line in told if "  failed  " in line
    ][:2]


def test_the_run_chose_the_same_and_kept_the_table(swept: Project) -> None:
    values = swept.mesonctl("show", "last", "--outputs", "--json").json
    table = values["steps"]["sizes_results"]["table"]
    digest = table["$artifact"].removeprefix("sha256:")
    kept = Path(swept.folder, ".meson", "artifacts", "sha256", digest[:2], digest[2:])
    with kept.open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert values["outputs"]["point"] == {"rate": 0.25, "size": 1}
    assert (table["name"], table["media"]) == ("sizes.csv", "text/csv")
    assert [(row["state"], row["result"]) for row in rows if row["size"] == "3"] == [("failed", "")] * 2
    assert {(row["rate"], row["size"]) for row in rows} == {(a, b) for a in ("0.5", "0.25") for b in "123"}


def test_all_items_become_a_table_with_states_and_seconds(swept: Project) -> None:
    done = swept.mesonctl("sweep", "last", "sizes", "--csv", "sizes.csv")
    with (swept.folder / "sizes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert done.code == 0
    assert [row["item"] for row in rows] == list("012345")
    assert all(float(row["seconds"]) >= 0 for row in rows)
    assert {(row["state"], row["why"]) for row in rows if row["size"] == "3"} == {("failed", "ValueError: too large")}
    assert {row["result"] for row in rows if row["size"] == "1"} == {'{"loss": 0.5}', '{"loss": 0.25}'}


def test_a_table_that_cannot_be_written_is_told(swept: Project) -> None:
    done = swept.mesonctl("sweep", "last", "sizes", "--csv", "nowhere/sizes.csv")

    assert done.code != 0
    assert "--csv nowhere/sizes.csv: it cannot be written: No such file or directory" in done.err


def test_a_seed_gives_the_same_points_in_every_run(swept: Project) -> None:
    (first,) = [swept.mesonctl("show", "last", "--outputs", "--json").json["outputs"]["mean"]]
    again = swept.mesonctl("run", "flow.py", "--json").json["outputs"]["mean"]

    assert first == again


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("last",), "workflow 'measured' has several sweeps: sizes, bootstrap"),
        (("last", "sises"), "workflow 'measured' has no sweep 'sises'\n  hint: did you mean 'sizes'?"),
        (("last", "sizes", "--by", "los"), "no step in 'sizes' has an output 'los'\n  hint: there are: result"),
    ],
)
def test_what_cannot_be_shown_is_told(arguments: tuple[str, ...], told: str, swept: Project) -> None:
    done = swept.mesonctl("sweep", *arguments)

    assert done.code != 0
    assert told in done.err


def test_a_workflow_without_one_says_so(ended: Project) -> None:
    done = ended.mesonctl("sweep", "last")

    assert "workflow 'recommend' has no sweep" in done.err
