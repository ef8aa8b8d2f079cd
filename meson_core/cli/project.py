"""Owns what a command works on: the project, its settings, plugins and store, each opened when it is first needed."""

from __future__ import annotations

import contextlib
import gc
import os
import shlex
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meson_core.errors import NotFoundError

if TYPE_CHECKING:
    from meson_core.cli.loading import Loaded
    from meson_core.client import Client
    from meson_core.plugins import Plugins
    from meson_core.settings import Settings
    from meson_core.spec import Kinds, Workflow


class Project:
    """The project of one command line.

    Args:
        folder: what `--project` says; None for the one around the present folder, or around the file that is run.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder
        self._around: Path | None = None
        self._open = contextlib.ExitStack()

    def close(self) -> None:
        """Close what was opened."""
        self._open.close()

    def load(self, target: str) -> Loaded:
        """Read the workflow that a command line names; from then on its project is the one that is meant."""
        from meson_core.cli.loading import load_target

        # Known before the file is read: what is wrong with it is told with places in this project.
        self._around = self._root_of(target)
        return load_target(target, self.root)

    def _root_of(self, target: str) -> Path:
        from meson_core.settings import find_root

        if self.folder is not None:
            return self._given(self.folder)
        path = Path(target)
        if not path.exists() and ":" in target:
            path = Path(target.rpartition(":")[0])
        return find_root(path.resolve())

    @staticmethod
    def _given(folder: str) -> Path:
        path = Path(folder)
        if not path.is_dir():
            raise NotFoundError(
                f"--project {folder}: there is no such folder",
                hint="the variable MESON_PROJECT_ROOT says so" if "MESON_PROJECT_ROOT" in os.environ else None,
            )
        return path.resolve()

    @property
    def known_root(self) -> Path | None:
        """The root, when it has been needed already."""
        return self.__dict__.get("root")

    @cached_property
    def root(self) -> Path:
        """The folder of the project."""
        if self.folder is not None:
            return self._given(self.folder)
        if self._around is not None:
            return self._around
        from meson_core.settings import find_root

        return find_root(Path.cwd())

    @cached_property
    def settings(self) -> Settings:
        """The project's settings."""
        from meson_core.settings import read_settings

        return read_settings(self.root, os.environ)

    @cached_property
    def plugins(self) -> Plugins:
        """All installed plugins but those that the settings disable."""
        from meson_core.plugins import load_plugins

        trace = (lambda line: click.echo(line, err=True)) if self.settings.trace_hooks else None
        return load_plugins(disabled=self.settings.disabled_plugins, trace=trace)

    @cached_property
    def kinds(self) -> Kinds:
        """What the checks know of the installed step kinds."""
        return self.plugins.kind_facts

    def check(self, loaded: Loaded) -> Workflow:
        """The workflow as it can be run, checked with the step kinds that are installed.

        Raises:
            InvalidWorkflowError: with every problem that was found.
        """
        from meson_core.spec import check

        return check(loaded.workflow, self.kinds)

    def prepare(self) -> None:
        """Begin what takes long before runs can be driven, while the rest is still being imported.

        Raises:
            PluginError: the resource scheduler or artifact store of the settings is not there.
            SettingsError: its options are not right.
        """
        from meson_core.ports import SchedulerSetting

        settings = self.settings
        definition = self.plugins.scheduler(settings.scheduler)
        if definition.prepare is None:
            return
        store = self.plugins.artifact_store(settings.artifact_store)
        artifacts = store.open(settings.artifact_store_options(store.Options), settings.directory)
        setting = SchedulerSetting(
            cell=settings.cell,
            epoch=0,
            directory=settings.directory,
            artifacts_url=artifacts.url,
            cursor={},
            lost_after_s=settings.liveness.lost_after_s,
        )
        definition.prepare(settings.scheduler_options(definition.Options), setting)

    def client(self, *, create: bool = False, read_only: bool = False) -> Client:
        """The door to the project's store.

        Args:
            create: make an empty store where there is none.
            read_only: for looking only.

        Raises:
            NotFoundError: nothing was ever run there.
        """
        from meson_core.client.client import open_client

        # All that will be needed is imported by now, and stays: collections need not look at it again.
        gc.freeze()
        gc.enable()
        client = open_client(self.settings, create=create, read_only=read_only, plugins=lambda: self.plugins)
        return self._open.enter_context(client)

    def command(self, *words: str) -> str:
        """A command line that means the same project when it is typed here, for hints."""
        from meson_core.settings import find_root

        named = [] if find_root(Path.cwd()) == self.root else ["--project", _short(self.root)]
        return shlex.join(["mesonctl", *named, *words])


def _short(folder: Path) -> str:
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)


pass_project = click.make_pass_decorator(Project)
