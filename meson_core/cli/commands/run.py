"""Owns `mesonctl run` and `mesonctl submit`: a workflow is checked, its code is kept, and it is run here or handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from meson_core.cli.options import fresh_option, fresh_steps_option, json_option, params_option, target_argument
from meson_core.cli.project import Project, pass_project

if TYPE_CHECKING:
    from meson_core.client import Client
    from meson_core.spec import Workflow


@click.command()
@target_argument
@params_option
@fresh_option
@fresh_steps_option
@click.option("--plain", is_flag=True, help="Print lines, also in a terminal.")
@json_option
@pass_project
def run(
    project: Project,
    target: str,
    params: dict[str, str],
    fresh: bool,
    fresh_steps: tuple[str, ...],
    plain: bool,
    as_json: bool,
) -> int:
    """Run a workflow on this machine and watch it.

    FILE is Python, YAML or JSON; a file with several workflows needs the name of one. The project's files are kept as
    they are now, and the run goes on with them, whatever is edited meanwhile. When `mesonctl serve` or another run drives
    this project, that one gets the run, and this command watches.

    Ctrl-C once: what runs finishes, nothing new starts, `mesonctl resume` goes on. Twice: the run is cancelled.

    The exit code is 0 when the run has succeeded, 1 when it failed, 8 when it was cancelled, 75 when it was left.
    """
    from meson_core.cli.driving import drive
    from meson_core.cli.summary import summarise
    from meson_core.cli.viewing import make_view
    from meson_core.spec import compile_plan

    workflow = _checked(project, target, params)
    project.prepare()
    view = make_view(compile_plan(workflow), "run", as_json=as_json, plain=plain)
    client = project.client(create=True)
    code = client.bundle().digest

    def begin() -> str:
        return client.start(workflow, texts=params, code=code, fresh=fresh or fresh_steps)

    view.start()
    try:
        run_id, left = drive(project, client, view, begin)
    finally:
        view.close()
    return summarise(project, client, run_id, left, view=view, as_json=as_json)


@click.command()
@target_argument
@params_option
@fresh_option
@fresh_steps_option
@json_option
@pass_project
def submit(
    project: Project,
    target: str,
    params: dict[str, str],
    fresh: bool,
    fresh_steps: tuple[str, ...],
    as_json: bool,
) -> None:
    """Hand a workflow to the orchestrator that serves this project, and return at once.

    When there is none, the run is kept, and starts with the next `mesonctl serve`, `run` or `resume`.
    """
    from meson_core.cli.output import print_json

    workflow = _checked(project, target, params)
    client = project.client(create=True)
    run_id = _submitted(client, workflow, params, fresh or fresh_steps)
    holder = client.store.holder(client.cell)
    if as_json:
        print_json({"run_id": run_id, "workflow": workflow.name, "started": holder is not None})
        return
    click.echo(f"{workflow.name}: run {run_id}")
    if holder is None:
        click.echo(f"nobody serves this project: it starts with `{project.command('serve')}`")
    else:
        click.echo(f"watch it: {project.command('show', run_id)}")


def _submitted(client: Client, workflow: Workflow, params: dict[str, str], fresh: bool | tuple[str, ...]) -> str:
    from meson_core.client.wishing import WAIT_S

    served = client.store.holder(client.cell) is not None
    wait_s = WAIT_S if served else None
    return client.start(workflow, texts=params, code=client.bundle().digest, fresh=fresh, wait_s=wait_s)


def _checked(project: Project, target: str, params: dict[str, str]) -> Workflow:
    """The workflow, with parameters that are sound: whatever can be wrong is told before anything is opened."""
    from meson_core.spec import bind_parameters

    loaded = project.load(target)
    workflow = project.check(loaded)
    bind_parameters(workflow.params, {}, texts=params, workflow=workflow.name)
    return workflow
