"""Owns the commands that want something of a run: `cancel`, `pause`, `resume`, `skip`, `retry`, `send`, `resolve`.

A wish goes to the orchestrator that drives the run. Where there is none, `resume` and `retry` become it; the others leave
the wish for the next one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import click

from meson_core.cli.options import fresh_option, fresh_steps_option, json_option, run_argument
from meson_core.cli.output import print_json
from meson_core.cli.project import Project, pass_project
from meson_core.errors import ConflictError, WrongTypeError
from meson_core.spec.states import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.client import Client
    from meson_core.spec.plan import Instance
    from meson_core.store.records import RunRow

Verdict: TypeAlias = Literal["succeeded", "failed", "retry"]

_step_option = click.option("--step", metavar="NAME", help="Only this step, or all steps in this part of the workflow.")
_steps_option = click.option("--step", "steps", multiple=True, metavar="NAME", help="All instances of this step.")
_instances_option = click.option(
    "--instance", "instances", multiple=True, metavar="INSTANCE", help="Just this one, as in `train[3]`."
)
_plain_option = click.option("--plain", is_flag=True, help="Print lines, also in a terminal.")


@click.command()
@run_argument
@json_option
@pass_project
def cancel(project: Project, run: str, as_json: bool) -> None:
    """Stop a run: what runs is killed after its grace, and nothing new starts."""
    client = project.client()
    row = client.run(run)
    _wish(project, client, row, "is being cancelled", lambda wait_s: client.cancel(row.run_id, wait_s=wait_s), as_json)


@click.command()
@run_argument
@_step_option
@json_option
@pass_project
def pause(project: Project, run: str, step: str | None, as_json: bool) -> None:
    """Start nothing new in a run, or in one of its steps; what runs goes on."""
    client = project.client()
    row = client.run(run)
    if step is None:
        _wish(project, client, row, "is paused", lambda wait_s: client.pause(row.run_id, wait_s=wait_s), as_json)
    else:
        done = f"starts nothing new in {step}"
        _wish(project, client, row, done, lambda wait_s: client.hold(row.run_id, step, wait_s=wait_s), as_json)


@click.command()
@run_argument
@_step_option
@_plain_option
@json_option
@pass_project
def resume(project: Project, run: str, step: str | None, plain: bool, as_json: bool) -> int:
    """Go on after a pause, or with a run that was interrupted.

    Where nobody drives the run, this command does, as `mesonctl run` would; the exit codes are the same.
    """
    client = project.client()
    row = client.run(run)
    if row.state.ended:
        raise ConflictError(
            f"run {row.run_id} {_ended(row)}: there is nothing to go on with",
            hint=f"do parts of it again: {project.command('retry', row.run_id, '--failed')}",
        )

    def wish(wait_s: float | None) -> None:
        if step is not None:
            client.release(row.run_id, step, wait_s=wait_s)
        elif row.state is RunState.paused:
            client.resume(row.run_id, wait_s=wait_s)

    if client.store.holder(row.cell) is not None:
        _wish(project, client, row, "goes on" if step is None else f"goes on with {step}", wish, as_json)
        return 0
    return _drive(project, client, row, "resume", wish, plain=plain, as_json=as_json)


@click.command()
@run_argument
@_steps_option
@_instances_option
@json_option
@pass_project
def skip(project: Project, run: str, steps: tuple[str, ...], instances: tuple[str, ...], as_json: bool) -> None:
    """Count steps as done, with null outputs; what has begun is left alone."""
    client = project.client()
    row = client.run(run)
    _need_selection(steps, instances)
    chosen = _instances(client, row, instances)
    done = f"skips {', '.join((*steps, *instances))}"

    def wish(wait_s: float | None) -> None:
        client.skip(row.run_id, steps=steps, instances=chosen, wait_s=wait_s)

    _wish(project, client, row, done, wish, as_json)


@click.command()
@run_argument
@click.option("--failed", is_flag=True, help="All that has failed or was cancelled.")
@_steps_option
@_instances_option
@click.option(
    "--code",
    type=click.Choice(["pinned", "current"]),
    default="pinned",
    show_default=True,
    help="The code that the run began with, or the project's files as they are now.",
)
@fresh_option
@fresh_steps_option
@_plain_option
@json_option
@pass_project
def retry(
    project: Project,
    run: str,
    failed: bool,
    steps: tuple[str, ...],
    instances: tuple[str, ...],
    code: str,
    fresh: bool,
    fresh_steps: tuple[str, ...],
    plain: bool,
    as_json: bool,
) -> int:
    """Reopen a run that has ended: do again what failed, some steps, or some instances, and all that follows from them.

    It stays the same run; what is not selected, and does not follow from it, is not done again. What is selected by name is
    made anew; what follows is skipped where a result of it is there already, unless --fresh says otherwise. Where nobody drives the
    project, this command does, as `mesonctl run` would; the exit codes are the same.
    """
    client = project.client()
    row = client.run(run)
    if not failed:
        _need_selection(steps, instances, also="--failed, ")
    if not row.state.ended:
        raise ConflictError(
            f"run {row.run_id} is {row.state.value}: only a run that has ended can be retried",
            hint=f"go on with it: {project.command('resume', row.run_id)}",
        )
    chosen = _instances(client, row, instances)

    def wish(wait_s: float | None) -> None:
        client.retry(
            row.run_id,
            failed=failed,
            steps=steps,
            instances=chosen,
            code=code,
            fresh=fresh or fresh_steps,
            wait_s=wait_s,
        )

    if client.store.holder(row.cell) is not None:
        _wish(project, client, row, "goes on", wish, as_json)
        return 0
    return _drive(project, client, row, "retry", wish, plain=plain, as_json=as_json)


@click.command()
@run_argument
@click.argument("step", metavar="STEP")
@click.argument("name")
@click.argument("value")
@json_option
@pass_project
def send(project: Project, run: str, step: str, name: str, value: str, as_json: bool) -> None:
    """Send a message to a running step, which reads it with `ctx.messages()`.

    VALUE is JSON where it can be read so, else a text.
    """
    client = project.client()
    row = client.run(run)
    instance = _instance(client, row, step)
    content = _json_or_text(value)

    def wish(wait_s: float | None) -> None:
        if wait_s is None:
            from meson_core.client.wishing import WAIT_S

            wait_s = WAIT_S  # nobody would deliver it later: it is refused at once
        client.send(row.run_id, instance, name, content, wait_s=wait_s)

    _wish(project, client, row, f"has the message for {step}", wish, as_json)


@click.command()
@run_argument
@click.argument("step", metavar="STEP")
@click.option("--as", "verdict", required=True, type=click.Choice(get_args(Verdict)), help="What became of it.")
@click.option("--outputs", metavar="JSON", help="With --as succeeded: the outputs of the step, as a JSON object.")
@json_option
@pass_project
def resolve(project: Project, run: str, step: str, verdict: Verdict, outputs: str | None, as_json: bool) -> None:
    """Settle an outcome that is unknown: a crash fell between the submission of an external job and its recording.

    Look it up at the service first. `succeeded` and `failed` say how the job ended; `retry` says that there is no such
    job, and submits a new one.
    """
    client = project.client()
    row = client.run(run)
    instance = _instance(client, row, step)
    values = _outputs(outputs)

    def wish(wait_s: float | None) -> None:
        client.settle(row.run_id, instance, verdict, values, wait_s=wait_s)

    _wish(project, client, row, f"takes {step} as {verdict}", wish, as_json)


# --- how a wish is had ------------------------------------------------------------------------------------------------


def _wish(
    project: Project, client: Client, row: RunRow, done: str, wish: Callable[[float | None], None], as_json: bool
) -> None:
    """Ask the orchestrator that drives the run, or leave the wish for the next one."""
    from meson_core.client.wishing import WAIT_S

    if row.state.ended:
        raise ConflictError(
            f"run {row.run_id} {_ended(row)}: that comes too late",
            hint=f"do parts of it again: {project.command('retry', row.run_id, '--failed')}",
        )
    served = client.store.holder(row.cell) is not None
    wish(WAIT_S if served else None)
    if as_json:
        print_json({"run_id": row.run_id, "granted": served})
    elif served:
        click.echo(f"run {row.run_id} {done}")
    else:
        click.echo(f"nobody drives run {row.run_id} now: the next orchestrator will see to it")
        click.echo(f"to go on at once: {project.command('resume', row.run_id)}")


def _drive(
    project: Project,
    client: Client,
    row: RunRow,
    command: str,
    wish: Callable[[float | None], None],
    *,
    plain: bool,
    as_json: bool,
) -> int:
    """Be the orchestrator until the run has ended, and show it."""
    from meson_core.cli.driving import drive
    from meson_core.cli.summary import summarise
    from meson_core.cli.viewing import make_view
    from meson_core.client.wishing import WAIT_S

    def begin() -> str:
        wish(WAIT_S)
        return row.run_id

    began = time.time()
    project.prepare()
    view = make_view(client.plan(row.run_id), command, as_json=as_json, plain=plain)
    view.know(client, row.run_id)
    view.start()
    try:
        run_id, left = drive(project, client, view, begin)
    finally:
        view.close()
    return summarise(project, client, run_id, left, view=view, began=began, as_json=as_json)


# --- what is meant ----------------------------------------------------------------------------------------------------


def _ended(row: RunRow) -> str:
    return "was cancelled" if row.state is RunState.cancelled else f"has {row.state.value}"


def _need_selection(steps: tuple[str, ...], instances: tuple[str, ...], also: str = "") -> None:
    if not steps and not instances:
        raise click.UsageError(f"Say what is meant: {also}--step NAME or --instance INSTANCE.")


def _instance(client: Client, row: RunRow, text: str) -> Instance:
    from meson_core.client.names import find_instance

    return find_instance(client.plan(row.run_id), text)


def _instances(client: Client, row: RunRow, texts: tuple[str, ...]) -> list[Instance]:
    return [_instance(client, row, text) for text in texts]


def _json_or_text(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _outputs(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    value = _json_or_text(text)
    if not isinstance(value, dict):
        raise WrongTypeError(
            f"--outputs must be a JSON object, got {text!r}", hint='one value for each output: {"rows": 3}'
        )
    return value
