"""Owns `mesonctl plugins`: what is installed, what is wrong with it, switching it off, and making a new one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meson_core.cli.exit_codes import ExitCode
from meson_core.cli.options import json_option
from meson_core.cli.output import print_json
from meson_core.cli.project import Project, pass_project
from meson_core.errors import ConflictError, NotFoundError, nearest

if TYPE_CHECKING:
    from meson_core.plugins import Finding, PluginInfo

_COLOURS = {"loaded": "green", "broken": "red", "conflict": "red", "disabled": "yellow", "idle": "bright_black"}


@click.group()
def plugins() -> None:
    """List, examine and disable plugins; make new ones."""


@plugins.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--kind",
    type=click.Choice(["step", "scheduler", "matcher", "store", "visualizer"]),
    required=True,
    help="What it declares: a step kind, a resource scheduler, a resource matcher, an artifact store, a visualizer.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder of the package; by default meson-NAME in the present folder.",
)
@pass_project
def new(project: Project, name: str, kind: str, into: Path | None) -> None:
    """Make the package of a new plugin, whose tests are green as they come."""
    from meson_core import __version__
    from meson_core.cli.scaffold import KINDS, PREFIX, plugin_name, write_plugin

    try:
        plugin = plugin_name(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    for info in project.plugins.listing:
        if info.name == plugin:
            raise ConflictError(f"there is a plugin {info.label} already", hint="choose another name")
    folder = into or Path(f"{PREFIX}{plugin}")
    files = write_plugin(folder, plugin, kind, __version__)
    click.echo(f"{folder} has the plugin {plugin!r}, a {KINDS[kind]}:".replace("a artifact", "an artifact"))
    for path in files:
        click.echo(f"  {path}")
    click.echo("\nnext:")
    environment = "" if sys.prefix != sys.base_prefix else ".venv/bin/"
    make = [] if not environment else ["python3 -m venv .venv"]
    for line in (f"cd {folder}", *make, f"{environment}pip install -e '.[test]'", f"{environment}pytest"):
        click.echo(f"  {line}")


@plugins.command("list")
@json_option
@pass_project
def list_(project: Project, as_json: bool) -> None:
    """List all installed plugins with what they declare; a broken one with its error."""
    listing = project.plugins.listing
    if as_json:
        print_json([_as_data(info) for info in listing])
        return
    from rich.text import Text

    from meson_core.cli.table import print_table

    rows = [
        (
            info.name,
            Text(info.state.value, style=_COLOURS[info.state.value]),
            info.origin,
            info.error or ", ".join(info.provides),
        )
        for info in listing
    ]
    print_table(("plugin", "state", "from", "…declares"), rows)


@plugins.command()
@click.argument("name", metavar="PLUGIN")
@json_option
@pass_project
def show(project: Project, name: str, as_json: bool) -> None:
    """Show all that is known of a plugin: versions, hooks, load time, its error, and what depends on it."""
    from meson_core.cli.dependents import dependents_of

    shown = _all_of(project, name)
    if as_json:
        print_json(
            [
                {
                    **_as_data(info),
                    "module": info.target,
                    "requires": list(info.requires),
                    "hooks": list(info.hooks),
                    "details": info.details,
                    "needed_by": [{"what": one.what, "name": one.name} for one in dependents_of(project, info)],
                }
                for info in shown
            ]
        )
        return
    for info in shown:
        click.echo(f"{click.style(info.name, bold=True)}  {info.origin}")
        took = f" in {info.load_s * 1000:.1f} ms" if info.load_s else ""
        _tell_line("state", click.style(info.state.value, fg=_COLOURS[info.state.value]) + took)
        _tell_line("module", info.target)
        always = [requirement for requirement in info.requires if "extra ==" not in requirement]
        _tell_line("asks for", ", ".join(always) or "nothing")
        _tell_line("hooks", ", ".join(info.hooks) or "none")
        for declared in info.provides or ("nothing",):
            _tell_line("declares", declared)
        _tell_line("last error", info.error or "none")
        if info.details:
            click.echo(
                click.style("".join(f"      {line}\n" for line in info.details.splitlines()), dim=True), nl=False
            )
        for dependent in [one.text for one in dependents_of(project, info)] or ["nothing in this project"]:
            _tell_line("needed by", dependent)


def _tell_line(title: str, text: str) -> None:
    click.echo(f"  {title:<10}  {text}")


@plugins.command()
@click.argument("names", nargs=-1, metavar="[PLUGIN]...")
@json_option
@pass_project
def doctor(project: Project, names: tuple[str, ...], as_json: bool) -> int:
    """Examine plugins: whether they load, fit, are quick and quiet, and declare what the hooks promise.

    The exit code is 7 when anything is amiss.
    """
    from meson_core import __version__
    from meson_core.plugins import diagnose

    chosen = {info.name for info in (_find(project, name) for name in names)}
    findings = [
        finding for finding in diagnose(project.plugins, __version__) if not chosen or finding.plugin.name in chosen
    ]
    amiss = any(not finding.ok for finding in findings)
    if as_json:
        print_json([_finding_data(finding) for finding in findings])
    else:
        _tell_findings(findings)
    return ExitCode.plugin if amiss else ExitCode.ok


def _finding_data(finding: Finding) -> dict[str, object]:
    return {"plugin": finding.plugin.name, "check": finding.check, "ok": finding.ok, "text": finding.text}


def _tell_findings(findings: list[Finding]) -> None:
    told: PluginInfo | None = None
    for finding in findings:
        if finding.plugin is not told:
            told = finding.plugin
            click.echo(f"{click.style(told.name, bold=True)}  {told.origin}")
        sign = click.style("✓", fg="green") if finding.ok else click.style("✗", fg="red")
        click.echo(f"  {sign} {finding.check:<8} {finding.text}")
        if finding.check == "loads" and told.details:
            click.echo(
                click.style("".join(f"      {line}\n" for line in told.details.splitlines()), dim=True), nl=False
            )


@plugins.command()
@click.argument("name", metavar="PLUGIN")
@pass_project
def disable(project: Project, name: str) -> None:
    """Load a plugin no more in this project: writes `disabled_plugins` into its settings."""
    from meson_core.cli.dependents import needed_by_settings

    info = _find(project, name)
    settings = project.settings
    if name in settings.disabled_plugins:
        click.echo(f"{name} is disabled already")
        return
    for setting, declared in needed_by_settings(project, info).items():
        raise ConflictError(
            f"plugin {name!r} declares the {declared}, which the settings choose",
            hint=f"choose another one first: `{setting}` in the settings",
        )
    _write(project, [*settings.disabled_plugins, name])
    click.echo(f"{name} ({info.origin}) is disabled")


@plugins.command()
@click.argument("name", metavar="PLUGIN")
@pass_project
def enable(project: Project, name: str) -> None:
    """Load a plugin again: takes it out of `disabled_plugins`."""
    disabled = project.settings.disabled_plugins
    if name not in disabled:
        info = _find(project, name)
        if info.distribution in disabled:
            raise ConflictError(
                f"plugin {name!r} is disabled with its whole distribution", hint=f"enable {info.distribution!r}"
            )
        click.echo(f"{name} is not disabled")
        return
    _write(project, [other for other in disabled if other != name])
    click.echo(f"{name} is enabled")


def _write(project: Project, names: list[str]) -> None:
    import os

    from meson_core.cli.settings_file import write_disabled

    if "MESON_DISABLED_PLUGINS" in os.environ:
        raise ConflictError(
            "the variable MESON_DISABLED_PLUGINS says which plugins are disabled, and wins over the settings file",
            hint="change the variable, or unset it",
        )
    write_disabled(project.root, names)


def _find(project: Project, name: str) -> PluginInfo:
    return _all_of(project, name)[0]


def _all_of(project: Project, name: str) -> list[PluginInfo]:
    """The plugins of a name, or of a distribution; of two rivals, both."""
    listing = project.plugins.listing
    found = [info for info in listing if name == info.name] or [info for info in listing if name == info.distribution]
    if found:
        return found
    known = sorted({info.name for info in listing} | {info.distribution for info in listing})
    close = nearest(name, known)
    hint = f"did you mean {close!r}?" if close else f"there are: {', '.join(known)}"
    raise NotFoundError(f"there is no plugin {name!r}", hint=hint)


def _as_data(info: PluginInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "state": info.state.value,
        "distribution": info.distribution,
        "version": info.version,
        "declares": list(info.provides),
        "error": info.error,
        "load_s": round(info.load_s, 4),
    }
