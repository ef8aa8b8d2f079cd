"""Owns `make prove`: everything that was promised, shown at full size, with a report.

    python -m benchmarks.prove [NAME]... [--quick]

Each proof is a command that anyone can run, what it showed, and whether that is what was promised. The report goes to
`benchmarks/results/`. `--quick` is the part for CI: it leaves out what CI runs by itself (the demo, the tests), and is small elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
#: Packages whose branches are all but 2 % covered by their own tests.
COVERED = ("spec", "resources", "expressions", "engine", "placement")


@dataclass(frozen=True, slots=True)
class Proof:
    """One promise and what was seen.

    Args:
        promise: in one line.
        command: what shows it.
        figure: what it showed.
        kept: whether that is what was promised.
        seconds: how long it took.
    """

    promise: str
    command: str
    figure: str
    kept: bool
    seconds: float


Shown = tuple[str, bool]


def _run(command: list[str], *, folder: Path = REPOSITORY, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, errors="replace", check=False
    )
    return done.returncode, done.stdout + done.stderr


def _tests(*arguments: str) -> Shown:
    code, told = _run([sys.executable, "-m", "pytest", "-q", *arguments])
    closing = [line for line in told.splitlines() if re.search(r"(passed|failed|error).* in [\d.]+", line)]
    return (closing[-1].strip("= ") if closing else told[-300:]), code == 0


def demo(_quick: bool) -> Shown:
    """A clean checkout, and nothing but the README's command."""
    with tempfile.TemporaryDirectory(prefix="meson-prove-", ignore_cleanup_errors=True) as name:
        clone = Path(name) / "meson"
        code, told = _run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)])
        if code:
            return told, False
        code, told = _run(["make", "demo"], folder=clone)
        ended = re.findall(r"^. recommendations  \w+ after .*$", told, re.MULTILINE)
        published = sorted((clone / "examples" / "recommendations" / "published").glob("*"))
        kept = code == 0 and bool(ended) and "succeeded" in ended[-1] and bool(published)
        return f"{ended[-1] if ended else told[-300:]}; {len(published)} published", kept


def tests(_quick: bool) -> Shown:
    """All tests."""
    return _tests()


def coverage(_quick: bool) -> Shown:
    """Branch coverage of the pure parts, package by package."""
    with tempfile.TemporaryDirectory(prefix="meson-prove-") as name:
        report = Path(name) / "coverage.json"
        sources = [f"--cov=meson_core.{package}" for package in COVERED]
        folders = [f"tests/{package}" for package in ("spec", "resources", "expressions", "engine", "placement")]
        told, passed = _tests(*folders, *sources, "--cov-branch", f"--cov-report=json:{report}", "--cov-report=")
        if not report.exists():
            return told, False
        files = json.loads(report.read_text())["files"]
    rates = {package: _rate(files, package) for package in COVERED}
    figure = ", ".join(f"{package} {rate:.1f} %" for package, rate in rates.items())
    return figure, passed and min(rates.values()) >= 98


def _rate(files: dict[str, dict[str, dict[str, float]]], package: str) -> float:
    """Covered branches of a package, in per cent."""
    ours = [entry["summary"] for name, entry in files.items() if re.match(rf"meson_core/{package}(\.py$|/)", name)]
    branches = sum(one["num_branches"] for one in ours)
    return 100.0 * sum(one["covered_branches"] for one in ours) / branches if branches else 100.0


def crashes(quick: bool) -> Shown:
    """Random workflows, killed at random, against the reference interpreter."""
    runs = "5" if quick else "300"
    code, told = _run([sys.executable, "-m", "tests.crash", "--runs", runs, "--seed", "1", "--side-by-side", "2"])
    summary = told.strip().splitlines()[-1] if told.strip() else "nothing was said"
    return summary, code == 0


def commits(_quick: bool) -> Shown:
    """A commit that fails."""
    return _tests("tests/orchestrator/test_loop.py", "-k", "failing_commit")


def bad_input(_quick: bool) -> Shown:
    """Every message of the table, word for word."""
    return _tests("tests/badinput")


def pages(_quick: bool) -> Shown:
    """Every example of the documentation."""
    return _tests("tests/cli/test_docs.py", "tests/dsl/test_guide.py", "tests/repo/test_hookspecs.py")


def benchmarks(quick: bool) -> Shown:
    """The budgets; a machine that is busy proves nothing, so its figures are told and not judged."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / "benchmarks.md"
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--markdown",
        str(report),
        "--json",
        str(RESULTS / "benchmarks.json"),
    ]
    code, told = _run([*command, "--quick"] if quick else command)
    if not report.exists():
        return told[-300:], False
    text = report.read_text(encoding="utf-8")
    return (
        f"{text.count('| kept |')} budgets kept, {text.count('**missed**')} missed: {report.name}",
        quick or code == 0,
    )


PROOFS: dict[str, tuple[str, str, Callable[[bool], Shown]]] = {
    "demo": ("a clean checkout ends green, with a published model", "make demo", demo),
    "tests": ("the tests are green", "make test", tests),
    "coverage": ("branch coverage of the pure parts is at least 98 %", "make cover", coverage),
    "crashes": ("whatever is killed, the run ends as it would have", "python -m tests.crash --runs 300", crashes),
    "commits": ("a failing commit launches nothing", "pytest tests/orchestrator -k failing_commit", commits),
    "bad_input": ("bad input gets an exact message and loses nothing", "pytest tests/badinput", bad_input),
    "pages": ("every example in the documentation runs", "pytest tests/cli/test_docs.py …", pages),
    "benchmarks": ("the budgets are kept; 20,000 with 1 % failing", "make bench", benchmarks),
}
#: What CI runs by itself, or what takes long at any size.
NOT_QUICK = ("demo", "tests", "coverage", "bad_input", "pages", "commits")


def main() -> int:
    """Prove what the command line asks for; non-zero when a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prove")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to prove: {', '.join(PROOFS)} (all)")
    parser.add_argument("--quick", action="store_true", help="the part for CI")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in PROOFS]
    if unknown:
        parser.error(f"there is no proof {unknown[0]!r}; there are: {', '.join(PROOFS)}")
    names = given.names or [name for name in PROOFS if not (given.quick and name in NOT_QUICK)]
    console = Console(stderr=True)
    proofs = []
    with console.status("") as status:
        for name in names:
            promise, command, show = PROOFS[name]
            status.update(f"proving: {promise}")
            begin = time.monotonic()
            figure, kept = show(given.quick)
            proofs.append(Proof(promise, command, figure, kept, round(time.monotonic() - begin, 1)))
            console.print(f"{'[green]kept[/]' if kept else '[red]missed[/]'}  {promise}  ({proofs[-1].seconds:.0f} s)")
    _report(proofs)
    return 0 if all(proof.kept for proof in proofs) else 1


def _report(proofs: list[Proof]) -> None:
    table = Table("promise", "shown by", "figure", "", box=None, header_style="bold", pad_edge=False)
    for proof in proofs:
        table.add_row(proof.promise, proof.command, proof.figure, "[green]kept[/]" if proof.kept else "[red]missed[/]")
    Console().print(table)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "prove.json").write_text(json.dumps([asdict(proof) for proof in proofs], indent=1) + "\n")
    rows = "".join(
        f"| {proof.promise} | `{proof.command}` | {proof.figure} | {'kept' if proof.kept else '**missed**'} |\n"
        for proof in proofs
    )
    head = "| promise | shown by | figure | |\n| --- | --- | --- | --- |\n"
    (RESULTS / "prove.md").write_text(head + rows, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
