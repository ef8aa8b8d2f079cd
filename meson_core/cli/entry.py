"""Owns the way into `mesonctl` and out of it: commands that load when they are called, and errors as people read them."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from meson_core import __version__
from meson_core.cli.exit_codes import ExitCode, exit_code
from meson_core.cli.project import Project
from meson_core.cli.telling import tell, tell_bug, tell_misuse
from meson_core.errors import MesonError, nearest

#: Name → (module, one line). The line stands here so that `--help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Run a workflow here and watch it."),
    "submit": ("run", "Hand a workflow to the orchestrator that serves this project."),
    "serve": ("serve", "Be the orchestrator of this project, until told to stop."),
    "runs": ("look", "List runs."),
    "show": ("look", "Show a run: its tree, its steps, its failures."),
    "sweep": ("sweep", "Show the best, the failed and the slowest of a sweep."),
    "logs": ("logs", "Print or follow the logs of a run, all attempts merged."),
    "why": ("look", "Say why a step waits, and what would place it."),
    "explain": ("explain", "Say why steps were or were not skipped."),
    "artifacts": ("artifacts", "List, fetch and put artifacts; see where they come from; prune."),
    "cancel": ("wishes", "Stop a run."),
    "pause": ("wishes", "Start nothing new in a run, or in one of its steps."),
    "resume": ("wishes", "Go on after a pause, or with what an interruption left."),
    "skip": ("wishes", "Count steps as done, without outputs."),
    "retry": ("wishes", "Reopen a finished run: what failed, a step, or a selection."),
    "send": ("wishes", "Send a message to a running step."),
    "resolve": ("wishes", "Settle an outcome that is unknown."),
    "validate": ("author", "Check a workflow without running it."),
    "graph": ("author", "Draw a workflow: text, Mermaid, DOT or SVG."),
    "schema": ("author", "Print the JSON Schema of workflows, step kinds included."),
    "plugins": ("plugins", "List, examine and disable plugins; make new ones."),
    "db": ("db", "Look after the store."),
}


class _ReaderGoneError(Exception):
    """Whoever read our output has seen enough: `mesonctl runs | head`. To click that would be a failure."""


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

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it, but for readers who leave."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as gone:
            raise _ReaderGoneError from gone

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but with the nearest name when there is no such command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = nearest(args[0], COMMANDS)
            hint = f" Did you mean {close!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mesonctl")
@click.option(
    "--project",
    "folder",
    metavar="FOLDER",
    envvar="MESON_PROJECT_ROOT",
    help="The project that is meant; by default the one around the workflow's file, or around this folder.",
)
@click.option("--traceback", is_flag=True, envvar="MESON_TRACEBACK", help="Show where in Meson an error arose.")
@click.pass_obj
def mesonctl(project: Project, folder: str | None, traceback: bool) -> None:
    """Run workflows made of heterogeneous steps, watch them, and lose nothing."""
    project.folder = folder


def run_command_line(argv: list[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code. No traceback of ours is ever printed, unless `--traceback` asks for it.
    """
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    show_traceback = "--traceback" in arguments or bool(os.environ.get("MESON_TRACEBACK"))
    # It may stand anywhere, so that it can be added to a line that went wrong.
    arguments = [argument for argument in arguments if argument != "--traceback"]
    project = Project()
    try:
        outcome = mesonctl.main(args=arguments, prog_name="mesonctl", obj=project, standalone_mode=False)
        return int(outcome) if isinstance(outcome, int) else ExitCode.ok
    except click.ClickException as misuse:
        tell_misuse(misuse, as_json=as_json)
        return ExitCode.usage
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.interrupted
    except _ReaderGoneError:
        # The interpreter must not try to flush what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ok
    except MesonError as error:
        if show_traceback:
            raise
        tell(error, root=project.known_root, as_json=as_json)
        return exit_code(error)
    except Exception as error:  # the last line of defence: a person must never read our frames
        if show_traceback:
            raise
        tell_bug(error, as_json=as_json)
        return ExitCode.bug
    finally:
        project.close()
