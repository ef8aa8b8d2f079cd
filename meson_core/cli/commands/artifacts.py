"""Owns `mesonctl artifacts`: the versions of artifacts, their bytes, where they come from, and what goes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meson_core.cli.ages import AGE
from meson_core.cli.commands.pictures import diff, plot
from meson_core.cli.options import json_option
from meson_core.cli.output import console, moment, print_json, size, value_text
from meson_core.cli.project import Project, pass_project
from meson_core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.tree import Tree

    from meson_core.artifacts import ArtifactRecord, ArtifactVersion
    from meson_core.client import Input, Lineage

#: Uses that are shown one by one.
_SHOWN = 20
_BLOCK = 1024 * 1024

ref_argument = click.argument("ref", metavar="ARTIFACT")


@click.group()
def artifacts() -> None:
    """Look at artifacts: list, fetch, compare them, and see where they come from.

    ARTIFACT is a number of the catalogue, a digest or its beginning (sha256:3fa1), a name or the id that its step declares (for
    the latest version), or NAME@RUN.
    """


@artifacts.command("list")
@click.argument("name", required=False)
@click.option("--key", metavar="ID", help="Only versions with this declared artifact id.")
@click.option("--workflow", metavar="NAME", help="Only what workflows of this name have made.")
@click.option("--run", metavar="RUN", help="Only what this run has made.")
@click.option("--type", "kind", metavar="TYPE", help="Only of this artifact type.")
@click.option("--since", type=AGE, help="Only what is not older, such as 7d.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many, the latest first."
)
@click.option("--before", metavar="NUMBER", type=click.IntRange(1), help="The last number of the page before.")
@json_option
@pass_project
def list_(
    project: Project,
    name: str | None,
    key: str | None,
    workflow: str | None,
    run: str | None,
    kind: str | None,
    since: float | None,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """List versions of artifacts, the latest first; with NAME, those of one artifact."""
    found = project.client(read_only=True).artifacts(
        name=name,
        key=key,
        workflow=workflow,
        run_id=run,
        type=kind,
        since=None if since is None else time.time() - since,
        before=before,
        limit=limit + 1,
    )
    more, found = len(found) > limit, found[:limit]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo(
            "there are no artifacts"
            + (" like that" if any((name, key, workflow, run, kind, since, before)) else " yet")
        )
        return
    _table(found)
    if more:
        click.echo(click.style(f"older ones: --before {found[-1].number}", dim=True), err=True)


def _table(found: Sequence[ArtifactRecord]) -> None:
    from meson_core.cli.table import print_table

    rows = [
        (
            str(each.number),
            each.name,
            _items(each),
            each.type,
            size(each.size),
            moment(each.at),
            each.run_id or "put by hand",
            each.digest[7:19],
        )
        for each in found
    ]
    headings = ("number", "…artifact", "…of", "type", "size", "at", "run", "digest")
    print_table(headings, rows, numbers=("number", "size"))


def _items(record: ArtifactRecord) -> str:
    return ", ".join(f"{name}={value_text(value, limit=30).plain}" for name, value in record.items.items())


@artifacts.command()
@ref_argument
@json_option
@pass_project
def show(project: Project, ref: str, as_json: bool) -> None:
    """Show what is known of one version."""
    lineage = project.client(read_only=True).lineage(ref, depth=1, limit=0)
    if as_json:
        print_json(lineage)
        return
    out = console()
    for name, value in _facts(lineage):
        out.print(f"{name:>10}  {value}", soft_wrap=True)


def _facts(lineage: Lineage) -> list[tuple[str, str]]:
    record = lineage.artifact
    facts = [("artifact", f"{record.name} #{record.number}")]
    if record.key is not None:
        facts.append(("id", record.key))
    facts += [("type", f"{record.type} ({record.media})"), ("size", size(record.size)), ("digest", record.digest)]
    facts += [(name, value_text(value).plain) for name, value in record.meta.items()]
    if record.run_id:
        at = "".join(f"[{index}]" for index in record.instance[1:])
        facts.append(
            ("made by", f"{record.step}{at}, attempt {record.attempt}, run {record.run_id} of {record.workflow}")
        )
        facts += [("of", _items(record))] if record.items else []
        facts.append(("version", record.version))
        facts += [("code", lineage.code)] if lineage.code else []
        facts += [("parameters", ", ".join(f"{k}={value_text(v, limit=60).plain}" for k, v in record.params.items()))]
    else:
        facts.append(("made by", "put by hand"))
    facts.append(("at", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.at))))
    if lineage.forgotten_at is not None:
        facts.append(("pruned", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lineage.forgotten_at))))
    return [(name, value) for name, value in facts if value]


@artifacts.command()
@ref_argument
@click.argument("to", metavar="[PATH]", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@json_option
@pass_project
def get(project: Project, ref: str, to: Path | None, force: bool, as_json: bool) -> None:
    """Fetch the bytes of one version to PATH (by default the name of its file, here); "-" is standard output."""
    version = project.client(read_only=True).artifact(ref)
    record = version.record
    if to is not None and str(to) == "-":
        with version.open() as file:
            shutil.copyfileobj(file, sys.stdout.buffer, _BLOCK)
        sys.stdout.buffer.flush()
        return
    target = Path(Path(record.file).name or record.digest[7:19]) if to is None else to
    if to is not None and target.is_dir() and not _is_folder(record):
        target /= Path(record.file).name or record.digest[7:19]
    if os.path.lexists(target) and not force:
        raise ConflictError(f"{target} is there already", hint="name another path, or say --force to overwrite it")
    _fetch(version, target)
    if as_json:
        print_json({"path": str(target.absolute()), "digest": record.digest, "size": record.size})
    else:
        click.echo(f"{record.name} #{record.number} → {target} ({size(record.size)})")


def _is_folder(record: ArtifactRecord) -> bool:
    from meson_runtime.artifacts import DIRECTORY

    return record.media == DIRECTORY


def _fetch(version: ArtifactVersion, target: Path) -> None:
    """Write it beside its place first, so that whatever has the name is whole."""
    from meson_core.errors import ArtifactError
    from meson_runtime.folders import FolderError, unpack

    try:
        with (
            version.open() as file,
            tempfile.TemporaryDirectory(prefix=".meson-", dir=target.absolute().parent) as beside,
        ):
            draft = Path(beside) / "content"
            if _is_folder(version.record):
                draft.mkdir()
                unpack(file, str(draft))
                if target.is_dir() and not target.is_symlink():
                    target.rename(Path(beside) / "former")
            else:
                with draft.open("wb") as out:
                    shutil.copyfileobj(file, out, _BLOCK)
            draft.replace(target)
    except OSError as error:
        raise ArtifactError(f"{target} cannot be written: {error.strerror}") from None
    except FolderError as error:
        raise ArtifactError(f"{version.record.name} #{version.record.number} cannot be unpacked: {error}") from None


@artifacts.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="What to call it; the name of the file by default.")
@click.option("--type", "kind", metavar="TYPE", help="Its artifact type; follows from the name by default.")
@click.option("--media", metavar="TYPE", help="Its media type; guessed from the name by default.")
@json_option
@pass_project
def put(project: Project, path: Path, name: str | None, kind: str | None, media: str | None, as_json: bool) -> None:
    """Store a file or folder as a version of an artifact."""
    record = project.client(create=True).put_artifact(path, name=name, media=media, type=kind)
    if as_json:
        print_json(record)
    else:
        click.echo(f"{record.name} #{record.number}: {record.type}, {size(record.size)}, {record.digest}")


@artifacts.command()
@click.option(
    "--grace", "grace_s", type=AGE, default="1 day", show_default=True, help="For how long what nothing names stays."
)
@click.option(
    "--older-than", "older_than_s", type=AGE, help="Give up versions that are older too, but the latest of each."
)
@click.option("--dry-run", is_flag=True, help="Only say what would go of what nothing names now.")
@click.option("--sole", is_flag=True, help="No other project keeps artifacts in the same place.")
@json_option
@pass_project
def prune(
    project: Project, grace_s: float, older_than_s: float | None, dry_run: bool, sole: bool, as_json: bool
) -> None:
    """Delete bytes that nothing names: what failed attempts and interrupted uploads have left.

    What a run in flight may be about to name stays, whatever its age. Artifacts in the catalogue stay, unless --older-than
    gives them up.
    """
    done = project.client().prune_artifacts(grace_s=grace_s, older_than_s=older_than_s, dry_run=dry_run, sole=sole)
    if as_json:
        print_json(done)
        return
    if done.forgotten:
        click.echo(f"{_count(done.forgotten, 'version')} given up; what is known of them is kept")
    would = "would be " if dry_run else ""
    click.echo(
        f"{_count(done.deleted, 'artifact')} {would}deleted, {size(done.freed)}; {_count(done.kept, 'artifact')} kept"
    )
    if done.leftovers:
        click.echo(f"{_count(done.leftovers, 'leftover')} of uploads and unpacked folders removed")
    if done.held:
        click.echo(click.style(f"{done.held:,} that nothing names may still be needed, and stay for now", dim=True))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


# --- lineage ----------------------------------------------------------------------------------------------------------


@artifacts.command()
@ref_argument
@click.option("--depth", default=5, show_default=True, type=click.IntRange(0), help="How many artifacts back.")
@json_option
@pass_project
def lineage(project: Project, ref: str, depth: int, as_json: bool) -> None:
    """Show what one version was made from, back to the beginning, and what used it."""
    found = project.client(read_only=True).lineage(ref, depth=depth)
    if as_json:
        print_json(found)
        return
    from rich.tree import Tree

    out = console()
    tree = Tree(_told(found.artifact))
    _grow(tree, found.inputs)
    out.print(tree, soft_wrap=True)
    for name, value in _facts(found):
        if name in ("made by", "of", "version", "code", "parameters"):
            out.print(f"  {name}: {value}", soft_wrap=True)
    if not found.uses:
        out.print("  used by: nothing", soft_wrap=True)
        return
    out.print("  used by:", soft_wrap=True)
    for use in found.uses[:_SHOWN]:
        at = "".join(f"[{index}]" for index in use.instance[1:])
        out.print(f"    {use.step}{at} as {use.place}, run {use.run_id} of {use.workflow}", soft_wrap=True)
    if len(found.uses) > _SHOWN:
        out.print(f"    and {len(found.uses) - _SHOWN:,} more: --json has all", soft_wrap=True)


def _grow(tree: Tree, inputs: Sequence[Input]) -> None:
    for each in inputs:
        told = f"{each.digest[:19]}…, not in the catalogue" if each.artifact is None else _told(each.artifact)
        _grow(tree.add(f"{each.place}: {told}"), each.inputs)


def _told(record: ArtifactRecord) -> str:
    made = f"run {record.run_id}" if record.run_id else "put by hand"
    of = f" ({_items(record)})" if record.items else ""
    return f"{record.name} #{record.number}{of}, {size(record.size)}, {made}"


artifacts.add_command(plot)
artifacts.add_command(diff)
