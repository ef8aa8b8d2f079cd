"""Owns `mesonctl logs`: what the steps of a run have written, all attempts in one place."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING

import click

from meson_core.cli.options import json_option, run_argument
from meson_core.cli.output import moment, print_json
from meson_core.cli.project import Project, pass_project

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meson_core.client import Client, LogLine
    from meson_core.spec.plan import Plan

#: Colours of the names, one after the other, so that neighbours can be told apart.
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")
_WIDEST = 28


@click.command()
@run_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option(
    "--step", "steps", multiple=True, metavar="NAME", help="Only of this step, or of one instance: `train[3]`."
)
@click.option("--failed", is_flag=True, help="Only of instances that have failed.")
@click.option("-n", "--tail", type=click.IntRange(0), metavar="LINES", help="Only the last lines of what is there.")
@click.option("--raw", is_flag=True, help="The lines as they were written, without time and name.")
@json_option
@pass_project
def logs(
    project: Project,
    run: str,
    follow: bool,
    steps: tuple[str, ...],
    failed: bool,
    tail: int | None,
    raw: bool,
    as_json: bool,
) -> None:
    """Print the logs of a run: all attempts of all its steps, merged by time.

    With --json it is one JSON object a line.
    """
    client = project.client(read_only=True)
    row = client.run(run)
    plan = client.plan(row.run_id)
    lines = _lines(client, row.run_id, plan, steps, failed=failed, follow=follow)
    if tail is not None:
        lines = _last(lines, tail, follow=follow)
    printer = _Printer(plan, raw=raw, as_json=as_json)
    for line in lines:
        printer.print(line)
    if not printer.printed and not as_json and not raw:
        click.echo("nothing was written" + (" by them" if steps or failed else ""), err=True)


def _lines(
    client: Client, run_id: str, plan: Plan, steps: tuple[str, ...], *, failed: bool, follow: bool
) -> Iterator[LogLine]:
    from meson_core.client.names import find_instance

    instances = [find_instance(plan, step) for step in steps if "[" in step]
    if instances:
        if len(steps) > 1:
            raise click.UsageError("an instance is given by itself: --step 'train[3]', without a second --step")
        return client.logs(run_id, instance=instances[0], follow=follow)
    return client.logs(run_id, steps=steps, failed=failed, follow=follow)


def _last(lines: Iterable[LogLine], count: int, *, follow: bool) -> Iterator[LogLine]:
    """The last lines of what is there; and what follows."""
    if not follow:
        yield from deque(lines, maxlen=count)
        return
    import time

    began = time.time()
    kept: deque[LogLine] = deque(maxlen=count)
    for line in lines:
        if line.at < began:
            kept.append(line)
            continue
        yield from kept
        kept.clear()
        yield line
    yield from kept


class _Printer:
    """Prints lines with their time and name, each name in a colour of its own."""

    def __init__(self, plan: Plan, *, raw: bool, as_json: bool) -> None:
        self._plan = plan
        self._raw = raw
        self._as_json = as_json
        self._colours: dict[str, str] = {}
        self._width = 0
        self.printed = False

    def print(self, line: LogLine) -> None:
        self.printed = True
        if self._as_json:
            print_json(line)
        elif self._raw:
            sys.stdout.write(f"{line.text}\n")
        else:
            self._print(line)
        sys.stdout.flush()

    def _print(self, line: LogLine) -> None:
        from meson_core.client.names import show_instance

        name = show_instance(self._plan, line.instance)
        if line.attempt > 1:
            name += f" attempt {line.attempt}"
        colour = self._colours.setdefault(line.step, _COLOURS[len(self._colours) % len(_COLOURS)])
        self._width = min(max(self._width, len(name)), _WIDEST)
        stream = {"err": "!", "log": ":", "meson": "#"}.get(line.stream, "│")
        head = f"{click.style(moment(line.at), dim=True)} {click.style(name.ljust(self._width), fg=colour)}"
        text = click.style(line.text, dim=True) if line.stream == "meson" else line.text
        click.echo(f"{head} {click.style(stream, fg='red' if line.stream == 'err' else colour)} {text}")
