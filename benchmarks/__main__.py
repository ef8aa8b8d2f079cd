"""Owns the command of the benchmarks: which figures there are, how often they are measured, where they are written.

    python -m benchmarks [NAME]... [--quick] [--rounds N] [--json FILE] [--markdown FILE]

Every figure stands beside its bare baseline of the same run, and baseline and measurement take turns, so that a slow
minute of the machine slows down both: compare the ratios. A figure is the median of its rounds, with the range around it.
The exit code is 1 when a budget is missed on a machine that had nothing else to do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks import cold, engine, machine, scale, sweep, throughput
from benchmarks.report import Figure, save, show, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

BENCHMARKS: dict[str, Callable[[Path, int, bool], Iterator[Figure]]] = {
    "engine": lambda _folder, rounds, _quick: engine.engine(rounds),
    "cold": lambda folder, rounds, _quick: cold.cold_start(folder, 3 * rounds),
    "chain": lambda folder, rounds, _quick: throughput.chain(folder, rounds),
    "fan_out": lambda folder, rounds, _quick: throughput.fan_out(folder, rounds, 1_000),
    "wide_fan_out": lambda folder, rounds, _quick: throughput.fan_out(folder, rounds, 10_000),
    "processes": lambda folder, rounds, _quick: throughput.processes(folder, rounds, 1_000),
    "sweep": lambda folder, rounds, quick: sweep.sweep(folder, _few(rounds), 10_000 if quick else 20_000, 1_000),
    "scale": lambda folder, rounds, quick: scale.scale(folder, _few(rounds), 10_000 if quick else 100_000),
}
ROUNDS, QUICK_ROUNDS = 5, 1


def _few(rounds: int) -> int:
    """Long runs even out by themselves what short ones need rounds for."""
    return (rounds + 1) // 2


def measure(names: Iterable[str], folder: Path, *, rounds: int, quick: bool) -> Iterator[Figure]:
    """Measure, and hand out each figure as soon as it is known.

    Args:
        names: of `BENCHMARKS`.
        folder: an empty folder on the disk that is meant.
        rounds: how often.
        quick: smaller sizes, to see that everything works.
    """
    for name in names:
        yield from BENCHMARKS[name](folder, rounds, quick)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure against the budgets.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(BENCHMARKS)} (all)")
    parser.add_argument("--quick", action="store_true", help="one round, smaller runs: to see that everything works")
    parser.add_argument("--rounds", type=int, help=f"how often (default: {ROUNDS}, quick: {QUICK_ROUNDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the table there as well; into its place in a page that has one",
    )
    given = parser.parse_args(argv)
    for name in given.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}")
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    console = Console(stderr=True)
    figures: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="meson-bench-", ignore_cleanup_errors=True) as name,
        console.status("") as status,
    ):
        folder = Path(name)
        conditions = machine.conditions(folder)
        for benchmark in given.names or BENCHMARKS:
            status.update(f"measuring: {benchmark}")
            figures += measure([benchmark], folder, rounds=rounds, quick=given.quick)
        conditions = conditions.finished()
    show(figures, conditions)
    if given.json is not None:
        save(figures, conditions, given.json)
    if given.markdown is not None:
        write(figures, conditions, given.markdown)
    missed = any(figure.kept is False for figure in figures)
    return 1 if missed and not conditions.disturbed else 0


if __name__ == "__main__":
    sys.exit(main())
