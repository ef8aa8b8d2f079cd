"""Owns the end of a command that has driven a run: how it went, what came out, what to do next, the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.cli.exit_codes import ExitCode
from meson_core.cli.output import console, duration, headline, print_json, state_text, value_text
from meson_core.client.names import show_instance
from meson_core.spec.states import STATES, RunState, State

if TYPE_CHECKING:
    from rich.text import Text

    from meson_core.cli.driving import Left
    from meson_core.cli.project import Project
    from meson_core.cli.viewing import View
    from meson_core.client import Client, RunTree, TreeNode
    from meson_core.store.records import RunRow

#: Failures that are named.
_SHOWN = 5
_EXIT = {
    RunState.succeeded: ExitCode.ok,
    RunState.failed: ExitCode.run_failed,
    RunState.cancelled: ExitCode.run_cancelled,
}
_BAD = (State.failed, State.upstream_failed, State.cancelled, State.outcome_unknown)


def summarise(
    project: Project,
    client: Client,
    run_id: str,
    left: Left,
    *,
    view: View,
    began: float | None = None,
    as_json: bool,
) -> int:
    """Tell how a run was left.

    Args:
        project: whose run it is.
        client: to its store.
        run_id: the run.
        left: how.
        view: what has shown it until now.
        began: when this command took up a run that was there already, seconds since the epoch.
        as_json: for a program.

    Returns:
        The exit code.
    """
    row = client.run(run_id)
    tree = client.tree(run_id)
    following = next_commands(project, row)
    if as_json:
        print_json(report(client, row, tree, following))
    else:
        lines = [
            *amiss(client, row, tree),
            *restored(project, client, row, tree),
            *results(row),
            *commands(following),
            *_others(project, client, row),
        ]
        if view.shows_end and lines:
            console().print()
        if not (view.shows_end and row.state.ended):
            console().print(_head(row, tree, left, began), soft_wrap=True)
        for line in lines:
            console().print(line, soft_wrap=True)
    return _EXIT.get(row.state, ExitCode.left_running)


def report(client: Client, row: RunRow, tree: RunTree, following: list[tuple[str, str]]) -> dict[str, Any]:
    """A run as one JSON object."""
    ended = row.ended_at if row.ended_at is not None else tree.at
    steps = {node.name for node in tree.nodes if node.kind == "step"}
    failed = client.instances(row.run_id, states=(State.failed,), limit=100)
    return {
        "run_id": row.run_id,
        "workflow": row.workflow,
        "state": row.state.value,
        "duration_s": round(ended - row.created_at, 3),
        "params": row.params,
        "outputs": row.results,
        "steps": {
            node.name: {state.name: node.counts[state] for state in State if node.counts[state]}
            for node in tree.nodes
            if node.kind == "step"
        },
        "failures": [
            {
                "step": each.step,
                "indexes": each.indexes,
                "attempt": each.attempt,
                "failure": msgspec.to_builtins(each.failure),
            }
            for each in failed
            if each.step in steps
        ],
        "next": [command for _, command in following],
    }


def next_commands(project: Project, row: RunRow) -> list[tuple[str, str]]:
    """What a person may want to do now, and the command that does it."""
    run = row.run_id
    if row.state is RunState.succeeded:
        return [("all values", project.command("show", run, "--outputs"))] if row.results else []
    if row.state is RunState.failed:
        return [
            ("the logs of what failed", project.command("logs", run, "--failed")),
            ("run that again, and what follows", project.command("retry", run, "--failed")),
        ]
    if row.state is RunState.cancelled:
        return [("go on with it after all", project.command("retry", run, "--failed"))]
    return [("go on", project.command("resume", run)), ("give up", project.command("cancel", run))]


def _head(row: RunRow, tree: RunTree, left: Left, began: float | None) -> Text:
    from rich.text import Text

    from meson_core.graph.marks import SIGNS

    as_step = State[row.state.value]
    ended = row.ended_at if row.ended_at is not None else tree.at
    line = (
        Text()
        .append(f"{SIGNS[as_step]} ", style=STATES[as_step].colour)
        .append(row.workflow, style="bold")
        .append("  ")
    )
    if row.state.ended:
        line.append_text(state_text(row.state)).append(f" after {duration(ended - (began or row.created_at))}")
    else:
        line.append("is drained: nothing of it runs" if left == "drained" else "goes on without us")
    return line.append(f"  run {row.run_id}", style="dim")


def _others(project: Project, client: Client, row: RunRow) -> list[Text]:
    """Runs of the cell that this command has taken up on the way, and leaves unfinished when nobody takes over."""
    from rich.text import Text

    if client.store.holder(client.cell) is not None:
        return []
    return [
        Text().append(f"  run {run} is unfinished as well: ", style="dim").append(project.command("resume", run))
        for run in client.store.unfinished_runs(client.cell)
        if run != row.run_id
    ]


def amiss(client: Client, row: RunRow, tree: RunTree) -> list[Text]:
    """A line for each step that has not gone well, and for each composite that has failed by itself."""
    from rich.text import Text

    found = []
    plan = client.plan(row.run_id)
    timeout_s = plan.workflow.timeout_s
    if row.state is RunState.failed and timeout_s and not any(node.counts[State.failed] for node in tree.nodes):
        found.append(Text(f"  it took longer than its timeout of {duration(timeout_s)}"))
    for node in tree.nodes:
        if node.kind != "step":
            why = _own_failure(client, row, tree, node)
            if why:
                found.append(Text("  ").append(node.name, style="bold").append(f"  failed: {why}"))
            continue
        bad = ", ".join(f"{node.counts[state]:,} {state.label}" for state in _BAD if node.counts[state])
        if not bad:
            continue
        line = Text("  ").append(node.name, style="bold").append(f"  {bad if node.total > 1 else bad.split(' ', 1)[1]}")
        first = client.instances(row.run_id, step=node.name, states=(State.failed,), limit=1)
        if first and first[0].failure is not None:
            place = f" ({show_instance(plan, first[0].instance)})" if node.total > 1 else ""
            line.append(f": {headline(first[0].failure)}{place}")
        found.append(line)
    if len(found) > _SHOWN:
        found[_SHOWN:] = [Text(f"  and {len(found) - _SHOWN} more steps", style="dim")]
    return found


def _own_failure(client: Client, row: RunRow, tree: RunTree, node: TreeNode) -> str:
    """Why a composite has failed, when it was not for what is inside: its items or condition cannot be evaluated."""
    if not node.counts[State.failed] or any(
        each.counts[State.failed] for each in tree.nodes if each.owner == node.node
    ):
        return ""
    return client.instances(row.run_id, step=node.name, states=(State.failed,), limit=1)[0].why


def restored(project: Project, client: Client, row: RunRow, tree: RunTree) -> list[Text]:
    """A line on the results that were there already, and how to see why others were not."""
    from rich.text import Text

    if not any(node.counts[State.skipped] for node in tree.nodes):
        return []
    counts = client.store.lookup_counts(row.run_id)
    skipped, asked = (sum(each[at] for each in counts.values()) for at in (1, 0))
    if not skipped:
        return []
    told = f"  {skipped:,} of {asked:,} results that could be there {'was' if skipped == 1 else 'were'} there already"
    return [Text(told).append(f"  {project.command('explain', row.run_id)}", style="dim")]


def results(row: RunRow) -> list[Text]:
    """A line for each output of the workflow."""
    from rich.text import Text

    results = row.results or {}
    width = max(map(len, results), default=0)
    return [
        Text().append(f"  {name:<{width}}  ", style="bold").append_text(value_text(value))
        for name, value in results.items()
    ]


def commands(following: list[tuple[str, str]]) -> list[Text]:
    """A line for each thing to do next."""
    from rich.text import Text

    width = max((len(what) for what, _ in following), default=0)
    return [Text().append(f"  {what + ':':<{width + 1}}  ", style="dim").append(command) for what, command in following]
