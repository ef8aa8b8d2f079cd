"""Owns `mesonctl artifacts plot` and `diff`: versions of artifacts as pictures, in the terminal and in files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meson_core.cli.ages import AGE
from meson_core.cli.options import json_option, named_values
from meson_core.cli.output import console, print_json
from meson_core.cli.project import Project, pass_project
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: Of the terminal's width and height, so many cells are left alone; and no picture is larger, nor a page of text smaller.
_MARGIN, _TALLEST, _SHORTEST, _WIDEST = 4, 32, 12, 120
#: Width where the output goes elsewhere.
_WIDTH = 80


def _suffix(ctx: click.Context, param: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    from meson_core.showing.files import FORMATS

    for path in paths:
        if path.suffix.lower().removeprefix(".") not in FORMATS:
            known = ", ".join(f".{name}" for name in FORMATS)
            raise click.BadParameter(f"{str(path)!r} ends with none of {known}", ctx, param)
    return paths


out_option = click.option(
    "-o",
    "--out",
    "paths",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_suffix,
    help="Write it to FILE.html (self-contained), FILE.svg or FILE.png; say it again for each.",
)


@click.command()
@click.argument("refs", metavar="ARTIFACT...", nargs=-1, required=True)
@click.option("--with", "visualizer", metavar="VISUALIZER", help="What draws it; by default the artifact type does.")
@click.option(
    "--set", "options", multiple=True, metavar="NAME=VALUE", callback=named_values, help="An option of the visualizer."
)
@click.option("--workflow", metavar="NAME", help="Only what workflows of this name have made.")
@click.option("--run", metavar="RUN", help="Only what this run has made.")
@click.option("--since", type=AGE, help="Only what is not older, such as 30d.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1), help="At most so many, the latest.")
@out_option
@json_option
@pass_project
def plot(
    project: Project,
    refs: tuple[str, ...],
    visualizer: str | None,
    options: dict[str, str],
    workflow: str | None,
    run: str | None,
    since: float | None,
    limit: int,
    paths: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Draw one or many versions of artifacts.

    A name or a declared id means all versions of it; a number, a digest or NAME@RUN means one.
    `mesonctl plugins list` has the visualizers; those that come with Meson are table, metric, distribution, convergence and
    importance.
    """
    from meson_core.client import pictures

    client = project.client(read_only=True)
    begin = None if since is None else time.time() - since
    found: dict[int, ArtifactVersion] = {}
    for ref in refs:
        for version in pictures.versions(client, ref, workflow=workflow, run=run, since=begin, limit=limit):
            found[version.record.number] = version
    shown = [found[number] for number in sorted(found)]
    _give(pictures.picture(project.plugins, shown, visualizer, options), shown, paths, as_json=as_json)


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@out_option
@json_option
@pass_project
def diff(project: Project, old: str, new: str | None, paths: tuple[Path, ...], as_json: bool) -> None:
    """Show what has changed between two versions; with one NAME, between its two latest."""
    from meson_core.client import pictures

    client = project.client(read_only=True)
    if new is None:
        pair = pictures.versions(client, old, limit=2)
        if len(pair) < 2:
            raise ArtifactError(
                f"there is one version of {old!r}", hint="name two versions: mesonctl artifacts diff OLD NEW"
            )
    else:
        pair = [pictures.versions(client, ref, limit=1)[0] for ref in (old, new)]
    view = pictures.difference(project.plugins, *pair)
    _give(view, pair, paths, as_json=as_json, nothing="they are equal")


def _give(
    view: View, shown: Sequence[ArtifactVersion], paths: Sequence[Path], *, as_json: bool, nothing: str = ""
) -> None:
    """Write the files first: whoever asked for them is not left with a picture in the terminal alone.

    Args:
        view: what to show.
        shown: the versions that it shows.
        paths: files to write.
        as_json: answer for programs.
        nothing: what an empty table or text means.
    """
    from meson_core.showing import written

    records = [version.record for version in shown]
    for path in paths:
        content = written(view, path.suffix.lower().removeprefix("."), records)
        try:
            path.write_bytes(content)
        except OSError as error:
            raise ArtifactError(f"{path} cannot be written: {error.strerror}") from None
    if as_json:
        print_json({"view": type(view).__name__, **_plain(view), "versions": [record.number for record in records]})
        return
    if nothing and _is_empty(view):
        click.echo(nothing)
    else:
        _print(view)
    for path in paths:
        click.echo(f"→ {path}")


def _is_empty(view: View) -> bool:
    from meson_core.artifacts import TableView, TextView

    return (isinstance(view, TableView) and not view.rows) or (isinstance(view, TextView) and not view.text)


def _plain(view: View) -> dict[str, Any]:
    import base64
    from dataclasses import asdict

    fields = asdict(view)
    if isinstance(fields.get("data"), bytes):
        fields["data"] = base64.b64encode(fields["data"]).decode()
    return fields


def _print(view: View) -> None:
    from meson_core.showing import lines

    out = console()
    width = min(out.width - 1, _WIDEST) if out.is_terminal else _WIDTH
    height = min(max(out.height - _MARGIN, _SHORTEST), _TALLEST) if out.is_terminal else _TALLEST - _MARGIN
    for line in lines(view, width, height, colour=out.color_system is not None):
        out.print(line, soft_wrap=True)
