"""Owns the commands for authors: `validate`, `graph`, `schema`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from meson_core.cli.options import json_option, params_option, target_argument
from meson_core.cli.output import print_json
from meson_core.cli.project import Project, pass_project
from meson_core.errors import NotFoundError

if TYPE_CHECKING:
    from meson_core.spec import Plan

FORMATS = ("text", "mermaid", "dot", "svg")


@click.command()
@target_argument
@params_option
@json_option
@pass_project
def validate(project: Project, target: str, params: dict[str, str], as_json: bool) -> None:
    """Check a workflow, and the parameters that are given, without running anything.

    All problems are told at once, each with its file and line, and with the nearest right name. The exit code is 3
    when there are any.
    """
    from meson_core.spec import bind_parameters, compile_plan, digest

    workflow = project.check(project.load(target))
    if params:
        bind_parameters(workflow.params, {}, texts=params, workflow=workflow.name)
    steps = sum(node.is_step for node in compile_plan(workflow).nodes)
    if as_json:
        print_json(
            {
                "workflow": workflow.name,
                "version": digest(workflow),
                "steps": steps,
                "params": {name: declared.type for name, declared in workflow.params.items()},
                "outputs": list(workflow.outputs),
            }
        )
        return
    good = click.style("ok", fg="green", bold=True)
    parameters = ", ".join(workflow.params) or "none"
    click.echo(f"{good}: {workflow.name}, {steps} step{'s' if steps != 1 else ''}; parameters: {parameters}")


@click.command()
@target_argument
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="What to draw; by default what -o ends in, else text."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write to.")
@pass_project
def graph(project: Project, target: str, form: str | None, output: Path | None) -> None:
    """Draw a workflow: as a tree of text, as Mermaid, DOT or SVG."""
    from meson_core.spec import compile_plan

    plan = compile_plan(project.check(project.load(target)))
    if form is None:
        form = _FORM_OF.get(output.suffix, "text") if output is not None else "text"
    drawn = _draw(plan, form)
    if output is None:
        click.echo(drawn, nl=False)
        return
    try:
        output.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"{output} cannot be written: {error.strerror}") from None


_FORM_OF = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid"}


def _draw(plan: Plan, form: str) -> str:
    from meson_core import graph as pictures

    drawn = {
        "text": pictures.text_tree,
        "mermaid": pictures.mermaid,
        "dot": pictures.dot,
        "svg": pictures.svg,
    }[form](plan)
    return drawn if drawn.endswith("\n") else f"{drawn}\n"


@click.command()
@pass_project
def schema(project: Project) -> None:
    """Print the JSON Schema of workflow definitions, with the options of the installed step kinds.

    An editor that knows it completes and checks YAML and JSON workflows.
    """
    import json

    from meson_core.spec import json_schema

    click.echo(json.dumps(json_schema(project.kinds), indent=2, ensure_ascii=False))
