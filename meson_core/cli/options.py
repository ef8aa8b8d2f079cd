"""Owns what several commands take alike: a workflow, a run, parameters, `--json`; and how the shell completes them."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from meson_core.errors import MesonError


def _files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


def _runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from meson_core.cli.project import Project

    try:
        runs = Project(ctx.find_root().params.get("folder")).client(read_only=True).runs(limit=50)
    except MesonError:
        return []
    found = [CompletionItem(run.run_id, help=f"{run.workflow}, {run.state.value}") for run in runs]
    return [item for item in (CompletionItem("last"), *found) if str(item.value).startswith(incomplete)]


def named_values(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`name=value`, several times, as a mapping; nobody would know which of two counts."""
    found: dict[str, str] = {}
    for value in values:
        name, separator, text = value.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{value!r} is not of the form NAME=VALUE", ctx, param)
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice: {found[name]!r} and {text!r}", ctx, param)
        found[name] = text
    return found


target_argument = click.argument("target", metavar="FILE[:WORKFLOW]", shell_complete=_files)
run_argument = click.argument("run", metavar="RUN", shell_complete=_runs)
json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document, for programs.")
fresh_option = click.option("--fresh", is_flag=True, help="Make everything anew, also where results are there already.")
fresh_steps_option = click.option(
    "--fresh-step", "fresh_steps", multiple=True, metavar="STEP", help="Make this step anew; say it again for each."
)
params_option = click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    callback=named_values,
    help="A parameter of the workflow; say it again for each.",
)
