"""Owns the proof that steps in R run as steps: through `mesonctl`, on a real executor, with real ends of every sort."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from meson_r import doctor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# On the machine that judges a change, a test that did not run would be a promise that nobody has looked at.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        shutil.which("Rscript") is None and "CI" not in os.environ,
        reason="R is not installed; on Debian and Ubuntu: apt install r-base-core r-cran-jsonlite",
    ),
]

MESONCTL = [sys.executable, "-c", "from meson_core.cli import main; main()"]
SETTINGS = """
[schedulers.local]
cpus = 2
idle_exit_s = 0.5
"""


class Project:
    """A folder with a workflow, and `mesonctl` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MESON_")}
        self.env = {**kept, "NO_COLOR": "1", "MESON_SECRET_token": "s3cret"}
        self.write("meson.toml", SETTINGS)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def mesonctl(self, *arguments: str) -> str:
        done = subprocess.run(
            [*MESONCTL, *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert "Traceback (most recent call last)" not in done.stderr, done.stderr
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def run(self, workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Run a workflow, and return what became of its steps, by name."""
        self.write("flow.json", json.dumps(workflow))
        self.mesonctl("run", "flow.json")
        listed = [json.loads(self.mesonctl("show", "last", "--json", "--step", name)) for name in _steps(workflow)]
        return {found["step"]: found for (found,) in listed}


def _steps(workflow: dict[str, Any]) -> list[str]:
    found = workflow.get("parallel") or workflow["sequence"]
    return [name for part in found for name in part]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("steps") / "pröject")
    yield made
    # The executor leaves by itself when it is idle; its lock tells when it has.
    with contextlib.suppress(FileNotFoundError), (made.folder / ".meson/executor/lock").open() as lock:
        subprocess.run(["flock", "--timeout", "30", str(lock.fileno())], pass_fds=[lock.fileno()], check=True)


# --- how a script ends ------------------------------------------------------------------------------------------------

FIT = """
fit <- function(ratings) {
  solve_for(ratings, alpha = 0)
}
solve_for <- function(ratings, alpha) {
  if (alpha <= 0) stop("alpha must be above 0, got ", alpha, call. = TRUE)
}
local <- 3
fit(local)
"""

#: Script, options of the step, and what its failure is.
ENDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "deep": (
        FIT,
        {},
        {
            "reason": "exception",
            "message": "Error in solve_for(ratings, alpha = 0) : alpha must be above 0, got 0",
            "exit_code": 1,
            "traceback": '3: stop("alpha must be above 0, got ", alpha, call. = TRUE) at script.R#6\n'
            "2: solve_for(ratings, alpha = 0) at script.R#3\n"
            "1: fit(local) at script.R#9\n",
        },
    ),
    "top": (
        '1\nstop("nö")',
        {},
        {"reason": "exception", "message": "Error: nö", "exit_code": 1, "traceback": '1: stop("nö") at script.R#2\n'},
    ),
    "builtin": (
        'x <- log("a")',
        {},
        {
            "reason": "exception",
            "message": 'Error in log("a") : non-numeric argument to mathematical function',
            "exit_code": 1,
            "traceback": "1: script.R#1\n",
        },
    ),
    "condition": (
        'stop(structure(class = c("odd", "error", "condition"), list(message = "one\\ntwo", call = quote(f(x)))))',
        {},
        {"reason": "exception", "message": "Error in f(x) : one two", "exit_code": 1},
    ),
    "syntax": (
        'meson$output("x", 1)\nx <- y y\n',
        {},
        {
            "reason": "exception",
            "message": "Error in script.R:2:8: unexpected symbol",
            "exit_code": 1,
            "traceback": '1: meson$output("x", 1)\n2: x <- y y\n          ^\n',
        },
    ),
    "sourced": (
        'source(file.path(meson$project, "lib.R"), keep.source = TRUE)\nmean_of(NULL)',
        {},
        {
            "reason": "exception",
            "message": "Error in mean_of(NULL) : nothing to average",
            "exit_code": 1,
            "traceback": '2: stop("nothing to average") at lib.R#2\n1: mean_of(NULL) at script.R#2\n',
        },
    ),
    "handler": (
        'options(error = quote(cat("mine\\n"))); stop("x"); cat("never\\n")',
        {},
        {"reason": "exception", "message": "Error: x", "exit_code": 1},
    ),
    "endless": ("f <- function() f()\nf()", {}, {"reason": "exception", "exit_code": 1}),
    "warned": (
        'options(warn = 2); f <- function() warning("hm"); f()',
        {},
        {"reason": "exception", "message": "Error in f() : (converted from warning) hm", "exit_code": 1},
    ),
    "missing": (
        "",
        {"file": "nowhere.R"},
        {"reason": "exception", "message": "there is no file nowhere.R in the project", "exit_code": 1},
    ),
    "status": ("quit(status = 3)", {}, {"reason": "exit", "message": "exit code 3", "exit_code": 3}),
    "early": (
        "quit(status = 0)",
        {"outputs": {"x": "float"}},
        {"reason": "outputs", "message": "it ended without the declared output x"},
    ),
    "large": (
        'meson$output("x", strrep("x", 70000))',
        {"outputs": {"x": "str"}},
        {"reason": "outputs"},
    ),
    "killed": (
        'system(paste("kill -KILL", Sys.getpid()))',
        {"retries": {"platform": 0}},
        {"reason": "signal", "message": "ended by SIGKILL", "signal": "SIGKILL"},
    ),
    "crashed": (
        'system(paste("kill -SEGV", Sys.getpid())); Sys.sleep(60)',
        {},
        {"reason": "signal", "message": "ended by SIGSEGV", "signal": "SIGSEGV"},
    ),
    "limit": (
        "x <- numeric(6e7); x[] <- 1; Sys.sleep(60)",
        {"memory": "200 MB"},
        {"reason": "out of memory", "message": "it used more than its 200 MB of memory"},
    ),
    "huge": (
        "x <- numeric(1e12)",
        {},
        {
            "reason": "out of memory",
            "message": "Error: cannot allocate vector of size 7450.6 Gb",
            "exit_code": 1,
            "traceback": "1: numeric(1e+12) at script.R#1\n",
        },
    ),
    "late": (
        "Sys.sleep(60)",
        {"timeout": "0.5 s", "retries": {"timeout": 0}},
        {"reason": "timeout", "message": "it did not end within 0.5 s"},
    ),
    "no_r": (
        "1",
        {"rscript": '/no"where/Rscript', "retries": {"platform": 0}},
        {
            "reason": "launch",
            "message": 'there is no /no"where/Rscript on this machine; on Debian and Ubuntu: apt install r-base-core '
            "r-cran-jsonlite (if R is somewhere else: MESON_RSCRIPT, or the step's option rscript, says where)",
            "exit_code": 127,
        },
    ),
    "no_jsonlite": (
        "1",
        {"env": {"R_LIBS_SITE": "/nowhere", "R_LIBS_USER": "/nowhere"}, "retries": {"platform": 0}},
        {"reason": "launch", "exit_code": 1},
    ),
}


@pytest.fixture(scope="module")
def ends(project: Project) -> dict[str, dict[str, Any]]:
    """All of them in one run, which fails; what one of them does is of no concern to another."""
    project.write("lib.R", 'mean_of <- function(x) {\n  if (is.null(x)) stop("nothing to average")\n  mean(x)\n}\n')
    body = [
        {name: {"kind": "r", "on_failure": "finish", **({"script": script} if script else {}), **options}}
        for name, (script, options, _) in ENDS.items()
    ]
    return project.run({"name": "ends", "parallel": body})


@pytest.mark.parametrize("name", ENDS)
def test_how_a_script_ends(ends: dict[str, dict[str, Any]], name: str) -> None:
    """In R's own words, with the calls and lines of the author, and nothing of what runs the script."""
    _, _, wanted = ENDS[name]

    ended = ends[name]

    assert "failed" == ended["state"]
    assert 1 == ended["attempt"]
    failure = ended["failure"]
    assert wanted == {key: value for key, value in failure.items() if key in wanted}
    for word in ("meson.R", ".meson_", "withVisible", "delayedAssign"):
        assert word not in json.dumps(failure)


def test_a_missing_jsonlite_is_told_with_what_to_do(ends: dict[str, dict[str, Any]]) -> None:
    message = ends["no_jsonlite"]["failure"]["message"]

    assert message.startswith("the R package jsonlite is not there for R version ")
    assert "apt install r-cran-jsonlite" in message


def test_endless_recursion_is_told_by_its_line(ends: dict[str, dict[str, Any]]) -> None:
    """R has no room left to call anybody then."""
    failure = ends["endless"]["failure"]

    assert "too close to the limit" in failure["message"] or "infinite recursion" in failure["message"]
    assert "1: script.R#2\n" == failure["traceback"] or failure["traceback"].endswith("1: f() at script.R#2\n")


# --- what a script gets and gives -------------------------------------------------------------------------------------

TRAIN = """
rm(list = ls())
source("lib.R")
stopifnot(sys.nframe() == 0, identical(ls(), "mean_of"))
ratings <- read.csv(meson$inputs$ratings)
model <- lm(stars ~ hour, ratings)
saveRDS(model, file.path(meson$work, "model.rds"))
warning("nothing to worry about, Zoë")
meson$artifact("model", file.path(meson$work, "model.rds"))
meson$output("coefficients", coef(model))
meson$output("mean", mean_of(ratings$stars))
meson$output("arguments", commandArgs(trailingOnly = TRUE))
meson$output("token", Sys.getenv("TOKEN"))
meson$output("here", dirname(tempdir()) == file.path(meson$work, "meson"))
writeLines("shared", file.path(meson$scratch, "note.txt"))
setClass("Point", representation(x = "numeric"))
new("Point", x = 1)
invisible("not shown")
"shown"
"""
MAKE = """
frame <- data.frame(stars = c(1, 2, 3.5), hour = c(1L, 2L, 3L))
meson$progress(0.5, "hälf")
meson$artifact("ratings", frame)
meson$emit("rows", nrow(frame))
"""
USE = """
model <- readRDS(meson$inputs$model)
meson$output("same", isTRUE(all.equal(meson$inputs$coefficients$hour, unname(coef(model)["hour"]))))
meson$output("note", readLines(file.path(meson$scratch, "note.txt")))
meson$output("text", "ö")
"""
WORKS = {
    "name": "works",
    "sequence": [
        {"make": {"kind": "r", "script": MAKE, "outputs": {"ratings": "artifact"}}},
        {
            "train": {
                "kind": "r",
                "file": "r/train.R",
                "cwd": "project",
                "inputs": {"ratings": "${make.ratings}", "name": "-e"},
                "arguments": ["--help", "-e", "", "a b", "ä", {"input": "name"}],
                "secrets": {"TOKEN": "token"},
                "outputs": {
                    "model": "artifact",
                    "coefficients": "dict[float]",
                    "mean": "float",
                    "arguments": "list[str]",
                    "token": "str",
                    "here": "bool",
                },
            }
        },
        {
            "use": {
                "kind": "r",
                "script": USE,
                "inputs": {"model": "${train.model}", "coefficients": "${train.coefficients}"},
                "outputs": {"same": "bool", "note": "str", "text": "any"},
            }
        },
    ],
}


def test_a_workflow_in_r(project: Project) -> None:
    """Files of the project, artifacts in and out, arguments, secrets, scratch; and a log as Rscript would leave it."""
    project.write("lib.R", 'mean_of <- function(x) {\n  if (is.null(x)) stop("nothing to average")\n  mean(x)\n}\n')
    project.write("r/train.R", TRAIN)

    ended = project.run(WORKS)

    assert {"make": "succeeded", "train": "succeeded", "use": "succeeded"} == {
        name: step["state"] for name, step in ended.items()
    }, ended
    train = ended["train"]["outputs"]
    assert "model.rds" == train["model"]["name"]
    assert {"(Intercept)", "hour"} == train["coefficients"].keys()
    assert pytest.approx(6.5 / 3) == train["mean"]
    assert ["--help", "-e", "", "a b", "ä", "-e"] == train["arguments"]
    assert ("s3cret", True) == (train["token"], train["here"])
    assert {"same": True, "note": "shared", "text": "ö"} == ended["use"]["outputs"]
    log = project.mesonctl("logs", "last", "--step", "train")
    assert "Warning: nothing to worry about, Zoë" in log
    assert 'An object of class "Point"' in log
    assert '[1] "shown"' in log
    assert "not shown" not in log


def test_a_message_reaches_the_script(project: Project) -> None:
    """`mesonctl send` to an R that runs."""
    script = """
        cat("listening\\n")
        repeat { heard <- meson$messages(); if (length(heard)) break; Sys.sleep(0.01) }
        meson$output("heard", heard[[1]]$value$alpha)
        meson$output("name", heard[[1]]$name)
    """
    outputs = {"heard": "list[float]", "name": "str"}
    project.write(
        "flow.json",
        json.dumps({"name": "l", "sequence": [{"listen": {"kind": "r", "script": script, "outputs": outputs}}]}),
    )
    with subprocess.Popen(
        [*MESONCTL, "run", "flow.json"], cwd=project.folder, env=project.env, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "listen" in line and "started" in line:
                project.mesonctl("send", "last", "listen", "rate", '{"alpha": [0.5]}')
    (ended,) = json.loads(project.mesonctl("show", "last", "--json", "--step", "listen"))

    assert {"heard": [0.5], "name": "rate"} == ended["outputs"]


# --- the doctor -------------------------------------------------------------------------------------------------------


def test_the_doctor_finds_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESON_RSCRIPT", raising=False)

    rscript, jsonlite = doctor.examine()

    assert (True, True) == (rscript.ok, jsonlite.ok)
    assert rscript.text.startswith("R version ")


def test_the_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each with the command that mends it."""
    broken = tmp_path / "Rscript"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("MESON_RSCRIPT", str(tmp_path / "nowhere"))
    (missing,) = doctor.examine()
    monkeypatch.setenv("MESON_RSCRIPT", str(broken))
    (useless,) = doctor.examine()
    monkeypatch.setenv("MESON_RSCRIPT", "Rscript")
    monkeypatch.setenv("R_LIBS_SITE", "/nowhere")
    monkeypatch.setenv("R_LIBS_USER", "/nowhere")
    _, jsonlite = doctor.examine()

    assert not missing.ok
    assert "apt install r-base-core r-cran-jsonlite" in missing.text
    assert not useless.ok
    assert "does not work" in useless.text
    assert not jsonlite.ok
    assert "apt install r-cran-jsonlite" in jsonlite.text
