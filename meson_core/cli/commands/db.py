"""Owns `mesonctl db`: looking after the store of a project."""

from __future__ import annotations

import click

from meson_core.cli.options import json_option
from meson_core.cli.output import print_json
from meson_core.cli.project import Project, pass_project


@click.group()
def db() -> None:
    """Look after the store."""


@db.command()
@json_option
@pass_project
def check(project: Project, as_json: bool) -> None:
    """See that the store is whole: its file, its version, and the logs of all runs. The exit code is 6 when it is not."""
    from meson_core.store import examine

    place = project.settings.store_location
    found = examine(place)
    if as_json:
        print_json({"store": place, **found._asdict()})
        return
    good = click.style("ok", fg="green", bold=True)
    click.echo(
        f"{good}: {place}, version {found.version}: "
        f"{found.runs:,} runs, {found.events:,} events, {found.definitions:,} workflow versions"
    )


@db.command()
@json_option
@pass_project
def upgrade(project: Project, as_json: bool) -> None:
    """Bring the store to this version of Meson; its data is kept. Stop what uses it first."""
    from meson_core.store import upgrade as upgrade_store

    place = project.settings.store_location
    done = upgrade_store(place)
    if as_json:
        print_json({"store": place, **done._asdict()})
    elif done.before == done.after:
        click.echo(f"{place} is of this version already ({done.after})")
    else:
        click.echo(f"{place} was upgraded from {done.before} to {done.after}")
