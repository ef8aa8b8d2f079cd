"""Owns the proof that the regional model in R is the model of the example: from the same first factors, the same numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recommender.factorisation import RANK, Model, fit
from recommender.selection import best_family
from tests.examples.made_up import people_of_taste, ratings_of
from tests.examples.movielens import EXAMPLE

if TYPE_CHECKING:
    from pathlib import Path

needs_r = pytest.mark.skipif(
    shutil.which("Rscript") is None and "CI" not in os.environ,
    reason="R is not installed; on Debian and Ubuntu: apt install r-base-core r-cran-jsonlite",
)


@needs_r
@pytest.mark.slow
def test_both_languages_come_to_the_same_model(tmp_path: Path) -> None:
    """Sweep by sweep the same systems are solved, so what differs is the last bits."""
    ratings = people_of_taste(40, 30, seed=1)
    ratings.save_table(tmp_path / "training.csv")
    films = len(np.unique(ratings.film))
    start = np.random.default_rng(0).normal(0, 0.1, (films, RANK + 1))[:, 1:]
    np.savetxt(tmp_path / "start.csv", start, delimiter=",")
    script = """
        source(commandArgs(TRUE)[1])
        start <- as.matrix(unname(read.csv("start.csv", header = FALSE)))
        write.csv(as_table(fit(read.csv("training.csv"), 0.7, start)), "model.csv", row.names = FALSE)
    """
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", script, str(EXAMPLE / "train_region.R")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stderr

    in_python, in_r = fit(ratings, 0.7), Model.read_table(tmp_path / "model.csv")

    assert in_python.mean == pytest.approx(in_r.mean)
    np.testing.assert_array_equal(in_python.users, in_r.users)
    np.testing.assert_array_equal(in_python.films, in_r.films)
    np.testing.assert_allclose(in_python.user_rows, in_r.user_rows, atol=1e-9)
    np.testing.assert_allclose(in_python.film_rows, in_r.film_rows, atol=1e-9)


def test_a_table_has_every_rating(tmp_path: Path) -> None:
    """Stars that are means of second opinions included."""
    ratings = ratings_of([(5, 7, 5.0), (5, 9, 10 / 3), (8, 7, 2.0)], region=3)

    ratings.save_table(tmp_path / "training.csv")

    assert (
        "user,film,stars,region\n5,7,5,3\n5,9,3.3333333333333335,3\n8,7,2,3\n"
        == (tmp_path / "training.csv").read_text()
    )


def test_the_better_family_is_taken() -> None:
    """By the region's own ratings; in a tie the first one, as where there is nothing to judge by."""
    judges = people_of_taste(20, 15, seed=4)
    good, bad = fit(judges, 0.5), fit(judges, 0.5, rank=0)

    assert "R" == best_family({"Python": bad, "R": good}, judges)
    assert "Python" == best_family({"Python": good, "R": bad}, judges)
    assert "Python" == best_family({"Python": good, "R": good}, judges)
    assert "Python" == best_family({"Python": bad, "R": good}, judges.where(judges.user < 0))
