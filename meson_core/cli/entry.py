"""Owns the way into `mesonctl` and out of it: commands that load when they are called, and errors as people read them."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

import click

from meson_core import __version__
from meson_core.cli.exit_codes import ExitCode, exit_code
from meson_core.errors import MesonError

#: Name → (module, one line). The line stands here so that `--help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Run a workflow here and watch it."),
    "submit": ("run", "Hand a workflow to the orchestrator that serves this project."),
    "serve": ("serve", "Be the orchestrator of this project, until told to stop."),
    "runs": ("look", "List runs."),
    "show": ("look", "Show a run: its tree, its steps, its failures."),
    "logs": ("logs", "Print or follow the logs of a run, all attempts merged."),
    "why": ("look", "Say why a step waits, and what would place it."),
    "cancel": ("wishes", "Stop a run."),
    "pause": ("wishes", "Start nothing new in a run, or in one of its steps."),
    "resume": ("wishes", "Go on after a pause, or with what an interruption left."),
    "skip": ("wishes", "Count steps as done, without outputs."),
    "retry": ("wishes", "Reopen a finished run: what failed, a step, or a selection."),
    "send": ("wishes", "Send a message to a running step."),
    "resolve": ("wishes", "Settle an outcome that is unknown."),
    "validate": ("author", "Check a workflow without running it."),
    "graph": ("author", "Draw a workflow: text, Mermaid, DOT or SVG."),
    "schema": ("author", "Print the JSON Schema of workflows, with the installed step kinds."),
    "plugins": ("plugins", "List plugins, find what is wrong with them, disable them."),
    "db": ("db", "Look after the store."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; those of plugins are ordinary click commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of a run's life."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"meson_core.cli.commands.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but with the nearest name when there is no such command."""
        from meson_core.errors import nearest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = nearest(args[0], COMMANDS)
            hint = f" Did you mean {close!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mesonctl")
@click.option(
    "--project",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    envvar="MESON_PROJECT_ROOT",
    help="The project whose store is meant; by default the one around the workflow or the current folder.",
)
@click.option("--traceback", is_flag=True, envvar="MESON_TRACEBACK", help="Show where in Meson an error arose.")
@click.pass_context
def mesonctl(ctx: click.Context, project: str | None, traceback: bool) -> None:
    """Run workflows made of heterogeneous steps, watch them, and lose nothing."""
    ctx.obj = {"project": project, "traceback": traceback}


def run_command_line(argv: list[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code. No traceback of ours is ever printed, unless `--traceback` asks for it.
    """
    arguments = sys.argv[1:] if argv is None else argv
    show_traceback = "--traceback" in arguments or bool(os.environ.get("MESON_TRACEBACK"))
    try:
        outcome = mesonctl.main(args=arguments, prog_name="mesonctl", standalone_mode=False)
        return int(outcome) if isinstance(outcome, int) else ExitCode.ok
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        return ExitCode.interrupted
    except click.ClickException as misuse:
        misuse.show()
        return ExitCode.usage
    except KeyboardInterrupt:
        return ExitCode.interrupted
    except BrokenPipeError:
        # The reader of our output has gone (`mesonctl runs | head`); the interpreter must not try to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ok
    except MesonError as error:
        if show_traceback:
            raise
        _tell(error, as_json="--json" in arguments)
        return exit_code(error)
    except Exception as error:  # the last line of defence: a person must never read our frames
        if show_traceback:
            raise
        click.echo(f"error[bug]: {type(error).__name__}: {error}", err=True)
        click.echo(
            "  This is a bug in Meson; nothing that was recorded is lost.\n"
            "  Please report it with the output of the same command and --traceback.",
            err=True,
        )
        return ExitCode.bug


def _tell(error: MesonError, *, as_json: bool) -> None:
    """Print an error of ours."""
    if as_json:
        told = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "file": error.where.file if error.where else None,
            "line": error.where.line if error.where else None,
        }
        click.echo(json.dumps({"error": told}, ensure_ascii=False))
        return
    head = click.style(f"error[{error.code}]", fg="red", bold=True)
    place = f"{error.where}: " if error.where else ""
    click.echo(f"{head}: {place}{error.message}", err=True)
    if error.hint:
        click.echo(f"  {click.style('hint', fg='cyan')}: {error.hint}", err=True)
