"""Owns `mesonctl explain`: why steps of a run were or were not skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from meson_core.cli.options import json_option, run_argument
from meson_core.cli.output import console, moment, print_json
from meson_core.cli.project import Project, pass_project

if TYPE_CHECKING:
    from rich.text import Text

    from meson_core.client.explaining import Answer, Difference, Explanation

#: Characters of a digest that are shown.
_DIGEST = 14


@click.command()
@run_argument
@click.argument("step", metavar="[STEP]", required=False)
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="At most so many of each step.")
@json_option
@pass_project
def explain(project: Project, run: str, step: str | None, limit: int, as_json: bool) -> None:
    """Say why steps were or were not skipped, and what differs from the nearest earlier result.

    STEP is a step, a part of the workflow, or one instance as in `train[3]`; without it, all steps that say `artifact` or
    `cache` are told of.
    """
    client = project.client(read_only=True)
    found = client.explain(run, step, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no step of this run asks for earlier results: none says `artifact` or `cache`")
    for each in found:
        for line in _lines(each):
            console().print(line, soft_wrap=True)


def _lines(each: Explanation) -> list[Text]:
    from rich.text import Text

    head = Text(each.step, style="bold")
    if not each.asks:
        return [head.append("  is always made: it says neither `artifact` nor `cache`", style="not bold")]
    if not each.asked:
        return [head.append("  was not looked up (yet)", style="not bold")]
    lines = [head.append(f"  {each.skipped:,} of {each.asked:,} skipped", style="not bold")]
    for answer in each.answers:
        lines.extend(_answer(answer))
    left = each.asked - len(each.answers)
    if left > 0 and len(each.answers) > 1:
        lines.append(Text(f"  and {left:,} more", style="dim"))
    return lines


def _answer(answer: Answer) -> list[Text]:
    from rich.text import Text

    if answer.skipped:
        return [Text(f"  {answer.instance}  skipped: its result is there, made by run {answer.source}")]
    lines = [Text(f"  {answer.instance}  made: {answer.why}")]
    if answer.nearest is None:
        return lines
    near = answer.nearest
    lines.append(Text(f"    nearest: {near.instance} of run {near.run_id}, {moment(near.at)}", style="dim"))
    lines.extend(Text(f"      {_difference(each)}") for each in near.differences)
    return lines


def _difference(each: Difference) -> str:
    if each.what.startswith("code "):
        how = "is new" if each.before is None else "is gone" if each.now is None else "has changed"
        return f"{each.what.removeprefix('code ')} {how}"
    if each.what == "code":
        return "the code has changed"
    if each.before is None:
        return f"{each.what} is new: {_short(each.now)}"
    if each.now is None:
        return f"{each.what} is gone, it was {_short(each.before)}"
    return f"{each.what} was {_short(each.before)}, is {_short(each.now)}"


def _short(text: str | None) -> str:
    text = text or ""
    return f"{text[:_DIGEST]}…" if text.startswith("sha256:") else text
