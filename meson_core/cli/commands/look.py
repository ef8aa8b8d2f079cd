"""Owns the commands that look: `runs`, `show`, `why`. They read, and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meson_core.cli.options import json_option, run_argument
from meson_core.cli.output import console, duration, headline, moment, print_json, state_text, value_text
from meson_core.cli.project import Project, pass_project
from meson_core.spec.states import ENDED, RunState, State

if TYPE_CHECKING:
    from meson_core.client import Client, StepInstance, Submitted, TreeNode
    from meson_core.store.records import RunRow

_RUN_STATES = [state.value for state in RunState]
_STATES = [state.name for state in State]


@click.command()
@click.option("--state", "states", multiple=True, type=click.Choice(_RUN_STATES), help="Only those in this state.")
@click.option("--workflow", metavar="NAME", help="Only those of workflows of this name.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many, the latest first."
)
@click.option("--after", metavar="RUN", help="The last run of the page before.")
@json_option
@pass_project
def runs(
    project: Project, states: tuple[str, ...], workflow: str | None, limit: int, after: str | None, as_json: bool
) -> None:
    """List runs, the latest first."""
    from meson_core.cli.table import print_table

    client = project.client(read_only=True)
    found = client.runs(
        state=[RunState(state) for state in states],
        workflow=workflow,
        after=client.run(after).run_id if after else None,
        limit=limit + 1,
    )
    more, found = len(found) > limit, found[:limit]
    waiting = [] if states or after else [w for w in client.submitted() if workflow in (None, w.workflow)]
    if as_json:
        print_json([*(_submitted_data(each) for each in waiting), *(_run_data(row) for row in found)])
        return
    rows: list[tuple[Any, ...]] = [
        (each.run_id, each.workflow, "submitted", moment(each.at), "", each.owner) for each in waiting
    ]
    rows += [
        (row.run_id, row.workflow, state_text(row.state), moment(row.created_at), duration(_took(row)), row.owner)
        for row in found
    ]
    if not rows:
        click.echo("there are no runs" + (" like that" if states or workflow or after else " yet"))
        return
    print_table(("run", "…workflow", "state", "created", "took", "owner"), rows, numbers=("took",))
    if more:
        click.echo(click.style(f"more: --after {found[-1].run_id}", dim=True), err=True)


def _took(row: RunRow) -> float:
    import time

    return (row.ended_at if row.ended_at is not None else time.time()) - row.created_at


def _run_data(row: RunRow) -> dict[str, Any]:
    return {
        "run_id": row.run_id,
        "workflow": row.workflow,
        "version": row.version,
        "state": row.state.value,
        "owner": row.owner,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
        "params": row.params,
        "outputs": row.results,
        "code": row.code,
        "cell": row.cell,
        "generation": row.generation,
    }


def _submitted_data(each: Submitted) -> dict[str, Any]:
    return {"run_id": each.run_id, "workflow": each.workflow, "state": "submitted", "owner": each.owner}


# --- one run --------------------------------------------------------------------------------------------------------


@click.command()
@run_argument
@click.option("--step", metavar="NAME", help="The instances of one step.")
@click.option("--failed", is_flag=True, help="The instances that have failed.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="The instances in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many instances.")
@click.option("--after", metavar="INSTANCE", help="The last instance of the page before, as in `train[49]`.")
@click.option("--outputs", is_flag=True, help="Parameters, results, and what the steps have put out.")
@click.option("--export", is_flag=True, help="Everything that is recorded of it as JSON, for a report.")
@json_option
@pass_project
def show(
    project: Project,
    run: str,
    step: str | None,
    failed: bool,
    states: tuple[str, ...],
    limit: int,
    after: str | None,
    outputs: bool,
    export: bool,
    as_json: bool,
) -> None:
    """Show a run: its tree, and with the options its instances, its failures, its values.

    RUN is the id of a run, the beginning of one, or `last`. An instance is named like `train`, `train[3]` (the item or
    iteration with the number 3, from 0) or `train[3][0]`.
    """
    client = project.client(read_only=True)
    row = client.run(run)
    if export:
        _export(client, row)
    elif outputs:
        _show_outputs(client, row, step, as_json=as_json)
    elif step is not None or failed or states:
        wanted = tuple(State[name] for name in states) + ((State.failed,) if failed else ())
        _show_instances(project, client, row, step, wanted, limit, after, as_json=as_json)
    else:
        _show_run(project, client, row, as_json=as_json)


def _show_run(project: Project, client: Client, row: RunRow, *, as_json: bool) -> None:
    from rich.text import Text

    from meson_core.cli import tree as trees
    from meson_core.cli.summary import amiss, commands, next_commands, report, restored, results

    found = client.tree(row.run_id)
    following = next_commands(project, row)
    if as_json:
        print_json(report(client, row, found, following) | {"nodes": found.nodes})
        return
    out = console()
    head = Text().append(row.workflow, style="bold").append(f"  run {row.run_id}  ", style="dim")
    head.append_text(state_text(row.state)).append(f"  {duration(_took(row))}")
    head.append(
        f"  since {moment(row.created_at)}" if row.ended_at is None else f"  {moment(row.ended_at)}", style="dim"
    )
    if row.owner:
        head.append(f"  by {row.owner}", style="dim")
    out.print(head, soft_wrap=True)
    nodes = {node.node: node for node in found.nodes}
    width = out.width if out.is_terminal else 10_000
    for line in trees.texts(trees.outline(client.plan(row.run_id)), nodes, width):
        out.print(line, soft_wrap=True)
    told = [*amiss(client, row, found), *restored(project, client, row, found)]
    for line in [*told, *results(row), *commands(following)]:
        out.print(line, soft_wrap=True)


def _show_instances(
    project: Project,
    client: Client,
    row: RunRow,
    step: str | None,
    states: tuple[State, ...],
    limit: int,
    after: str | None,
    *,
    as_json: bool,
) -> None:
    from meson_core.cli.table import print_table
    from meson_core.client.names import find_instance, show_instance

    plan = client.plan(row.run_id)
    if step is not None and "[" in step:
        instance = find_instance(plan, step)
        _show_instance(client, row, instance, as_json=as_json)
        return
    last = find_instance(plan, after) if after else None
    found = client.instances(row.run_id, step=step, states=states, after=last, limit=limit + 1)
    has_more, found = len(found) > limit, found[:limit]
    if as_json:
        print_json([_instance_data(each) for each in found])
        return
    if step is not None and len(found) == 1 and len(found[0].instance) == 1:
        _show_instance(client, row, found[0].instance, as_json=False)
        return
    if not found:
        click.echo("there are no such instances" if states else "none of its instances has begun")
        return
    print_table(
        ("instance", "state", "attempt", "machine", "began", "took", "…"),
        [
            (
                show_instance(plan, each.instance),
                state_text(State[each.state]),
                str(each.attempt or ""),
                each.machine or "",
                moment(each.started_at),
                duration(_instance_took(each)),
                _note(each),
            )
            for each in found
        ],
        numbers=("attempt", "took"),
    )
    if has_more:
        more = f"more: --after '{show_instance(plan, found[-1].instance)}'"
        click.echo(click.style(more, dim=True), err=True)


def _note(each: StepInstance) -> str:
    if each.failure is not None:
        return headline(each.failure)
    if each.outputs and ENDED[State[each.state]]:
        return ", ".join(f"{name}={value_text(value, limit=40).plain}" for name, value in each.outputs.items())
    return each.message or ("" if each.state == State.succeeded.name else each.why)


def _instance_took(each: StepInstance) -> float | None:
    if each.started_at is None or each.ended_at is None:
        return None
    return each.ended_at - each.started_at


def _instance_data(each: StepInstance) -> dict[str, Any]:
    import msgspec

    return {**msgspec.to_builtins(each), "indexes": each.indexes}


def _show_instance(client: Client, row: RunRow, instance: tuple[int, ...], *, as_json: bool) -> None:
    """All that is known of one instance."""
    from rich.text import Text

    from meson_core.cli.failures import failure_lines
    from meson_core.cli.table import print_table
    from meson_core.client.names import show_instance

    plan = client.plan(row.run_id)
    name = show_instance(plan, instance)
    each = client.instance(row.run_id, instance)
    attempts = client.attempts(row.run_id, instance)
    links = client.links(row.run_id, instance)
    if as_json:
        print_json({**_instance_data(each), "attempts": attempts, "links": links})
        return
    out = console()
    head = Text().append(name, style="bold").append("  ").append_text(state_text(State[each.state]))
    out.print(head.append(f"  {each.why}", style="dim"), soft_wrap=True)
    if attempts:
        print_table(
            ("attempt", "outcome", "machine", "began", "took", "…"),
            [
                (
                    str(attempt.attempt),
                    attempt.outcome,
                    attempt.machine or "",
                    moment(attempt.began),
                    duration(attempt.ended - attempt.began if attempt.began and attempt.ended else None),
                    attempt.failure.message if attempt.failure else "",
                )
                for attempt in attempts
            ],
            numbers=("attempt", "took"),
        )
    if each.state == State.failed.name:
        for line in failure_lines(client, row.run_id, each, name):
            out.print(line, soft_wrap=True)
    if each.external_id:
        out.print(f"external job: {each.external_id}", soft_wrap=True)
    for link in links:
        out.print(f"{link.name}: {link.url}", soft_wrap=True)
    for output, value in (each.outputs or {}).items():
        out.print(Text().append(f"{output}  ", style="bold").append_text(value_text(value, limit=None)), soft_wrap=True)


def _show_outputs(client: Client, row: RunRow, step: str | None, *, as_json: bool) -> None:
    context = client.outputs(row.run_id, steps=[step] if step else ())
    if as_json:
        print_json({"params": context.params, "outputs": context.results, "steps": context.steps})
        return
    from rich.text import Text

    out = console()
    named = {"parameters": context.params, "outputs": context.results or {}} if step is None else {}
    for title, values in named.items():
        if values:
            out.print(Text(title, style="bold"))
        for name, value in values.items():
            out.print(Text(f"  {name} = ").append_text(value_text(value)), soft_wrap=True)
    for name, values in context.steps.items():
        each = values if isinstance(values, list) else [((), values)]
        if any(outputs for _, outputs in each):
            out.print(Text(name, style="bold"))
        for indexes, outputs in each:
            at = "".join(f"[{index}]" for index in indexes)
            for output, value in outputs.items():
                out.print(Text(f"  {at}{' ' if at else ''}{output} = ").append_text(value_text(value)), soft_wrap=True)


def _export(client: Client, row: RunRow) -> None:
    """The run as it can be looked into elsewhere: definition, facts, and how it stands."""
    import msgspec

    from meson_core import __version__

    print_json(
        {
            "meson": __version__,
            "run": _run_data(row),
            "definition": msgspec.Raw(client.store.definition(row.version)),
            "events": [[each.seq, each.event] for each in client.events(row.run_id)],
            "nodes": client.tree(row.run_id).nodes,
        }
    )


# --- why --------------------------------------------------------------------------------------------------------------


@click.command()
@run_argument
@click.argument("step", required=False)
@json_option
@pass_project
def why(project: Project, run: str, step: str | None, as_json: bool) -> None:
    """Say why a step waits, and what would place it; without STEP, of every step that is not done."""
    client = project.client(read_only=True)
    row = client.run(run)
    if step is not None:
        chosen = [step]
    else:
        ended = [state for state in State if ENDED[state]]
        chosen = [node.name for node in client.tree(run).nodes if node.kind == "step" and not _done(node, ended)]
    found = [client.why(row.run_id, name) for name in chosen]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo(f"run {row.run_id} {_ended(row)}: nothing waits")
        return
    if not row.state.ended and client.store.holder(row.cell) is None:
        click.echo(f"nobody drives this run now; go on with it: {project.command('resume', row.run_id)}")
    for each in found:
        click.echo(click.style(each.step, bold=True))
        for line in each.lines:
            click.echo(f"  {line}")
        for line in _placement(each.detail):
            click.echo(click.style(f"    {line}", dim=True))


def _done(node: TreeNode, ended: list[State]) -> bool:
    return node.total > 0 and node.count(*ended) == node.total


def _ended(row: RunRow) -> str:
    return "was cancelled" if row.state is RunState.cancelled else f"has {row.state.value}"


def _placement(detail: Any) -> list[str]:
    """What placement has noted about a step that is queued: who refused what, the nearest miss, what would help."""
    if not isinstance(detail, dict):
        return []
    offers = detail.get("offers", 0)
    lines = []
    for each in detail.get("refused", ()):
        how = "for now" if each["kind"] == "busy" else "for good"
        lines.append(
            f"{each['constraint']} refuses {each['offers']} of {_count(offers, 'offer')} {how} ({each['matcher']})"
        )
    nearest = detail.get("nearest")
    if nearest:
        misses = "; ".join(f"{each['constraint']}, it has {each['found']}" for each in nearest["refusals"])
        lines.append(f"nearest: machine {nearest['machine']}: {misses}")
    if detail.get("before"):
        lines.append(f"in the queue before it: {_count(detail['before'], 'attempt')}")
    if detail.get("change"):
        lines.append(f"what would place it: {detail['change']}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
