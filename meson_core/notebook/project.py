"""Owns what `meson_core.connect()` gives: a project, whose workflows are run from a cell."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meson_core.artifacts import HtmlView, ImageView, TableView, TextView, VegaLite
from meson_core.client.client import open_client
from meson_core.dsl.build import build
from meson_core.dsl.names import expect
from meson_core.dsl.workflows import AuthoredWorkflow
from meson_core.errors import NotFoundError, UnknownNameError
from meson_core.notebook.driving import Driving
from meson_core.notebook.run import Run
from meson_core.notebook.views import Shown, bundle
from meson_core.plugins import load_plugins
from meson_core.settings import find_root, read_settings
from meson_core.spec import check
from meson_core.spec.model import Workflow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactRecord, ArtifactVersion
    from meson_core.client import Client
    from meson_core.plugins import Plugins
    from meson_core.settings import Settings

_VIEWS = (VegaLite, TableView, ImageView, HtmlView, TextView)


def connect(project: str | os.PathLike[str] = ".") -> Project:
    """A project to work with from a notebook: `project = meson_core.connect()`.

    Views, tables and charts of artifacts are shown in place from then on. Runs are driven by a thread of the notebook,
    or by whoever serves the project already.

    Args:
        project: any place in it; its store is made when it has none.

    Raises:
        SettingsError: its settings are not right.
        StoreError: its store cannot be opened.
    """
    place = Path(project)
    if not place.exists():
        msg = f"{place}: there is no such folder"
        raise NotFoundError(msg)
    root = find_root(place.resolve())
    settings = read_settings(root, os.environ)
    found = Project(root, settings, load_plugins(disabled=settings.disabled_plugins))
    atexit.register(found.close)
    _render_views()
    return found


class Project:
    """A project; use it as a context manager, or `close()` it, or leave it to the end of the kernel.

    Args:
        root: its folder.
        settings: read from it.
        plugins: loaded.
    """

    def __init__(self, root: Path, settings: Settings, plugins: Plugins) -> None:
        self.root = root
        #: Everything that can be asked and wished.
        self.client: Client = open_client(settings, create=True, plugins=lambda: plugins)
        self._plugins = plugins
        self._driving = Driving(self.client.store, settings, plugins)
        self._open = True

    def close(self) -> None:
        """Let go of the project; runs that have not ended go on with whoever drives it next."""
        if self._open:
            self._open = False
            atexit.unregister(self.close)
            self._driving.stop()
            self.client.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<project {self.root.name}>"

    # --- runs ---------------------------------------------------------------------------------------------------------

    def run(self, workflow: AuthoredWorkflow | Workflow, /, **params: Any) -> Run:
        """Run a workflow, show it below the cell, and wait until it has ended.

        Step functions of the notebook are sent along as source; the project's files are kept as they are now.

        Args:
            workflow: as `workflow(...)` or `load_yaml(...)` gives it.
            **params: its parameters by name.

        Raises:
            InvalidWorkflowError: what is wrong with it, all at once.
            ParameterError: parameters are missing, unknown or refused.
        """
        return self.start(workflow, **params).show()

    def start(self, workflow: AuthoredWorkflow | Workflow, /, **params: Any) -> Run:
        """Start a run and go on at once; `show()` or `wait()` comes back to it. Arguments are those of `run`."""
        checked = self.check(workflow)
        code = self.client.bundle().digest
        self._driving.ensure()
        return self._run(self.client.start(checked, params, code=code))

    def check(self, workflow: AuthoredWorkflow | Workflow, /) -> Workflow:
        """The workflow as it would run.

        Raises:
            InvalidWorkflowError: what is wrong with it, all at once.
        """
        hint = 'make one: workflow("name", first >> second)'
        expect(workflow, (AuthoredWorkflow, Workflow), "a project runs workflows", None, hint)
        spec = workflow if isinstance(workflow, Workflow) else build(workflow, root=str(self.root))
        return check(spec, self._plugins.kind_facts)

    def runs(self, *, limit: int = 20) -> list[Run]:
        """Its runs, the latest first."""
        return [self._run(row.run_id) for row in self.client.runs(limit=limit)]

    def __getitem__(self, run: str) -> Run:
        """A run by its id, the beginning of its id, or "last"."""
        return self._run(self.client.run(run).run_id)

    def _run(self, run_id: str) -> Run:
        return Run(self.client, run_id, self._driving.ensure)

    # --- artifacts ----------------------------------------------------------------------------------------------------

    def artifact(self, artifact: ArtifactRecord | str | int) -> Shown:
        """A version of an artifact, shown by its type.

        Args:
            artifact: a record, a number of the catalogue, a digest, a name, or NAME@RUN.

        Raises:
            NotFoundError: no artifact, or several, could be meant.
        """
        version = self._version(artifact)
        types = self._plugins.artifact_types
        return Shown((types.get(version.record.type) or types["file"]).preview(version))

    def plot(self, visualizer: str, artifacts: Sequence[ArtifactRecord | str | int], /, **options: Any) -> Shown:
        """What a visualizer makes of versions of artifacts, from the oldest to the newest.

        Args:
            visualizer: its name, as `mesonctl plugins list` has it.
            artifacts: what is drawn.
            **options: of the visualizer.

        Raises:
            UnknownNameError: there is no such visualizer.
            ArtifactError: it does not understand them.
        """
        known = self._plugins.visualizers
        if visualizer not in known:
            msg = f"there is no visualizer {visualizer!r}"
            raise UnknownNameError(msg, name=visualizer, known=known)
        drawn = known[visualizer]
        versions = sorted((self._version(each) for each in artifacts), key=lambda each: each.record.number)
        return Shown(drawn.draw(versions, drawn.Options(**options)))

    def _version(self, artifact: ArtifactRecord | str | int) -> ArtifactVersion:
        return self.client.artifact(artifact if isinstance(artifact, str | int) else artifact.number)


def _render_views() -> None:
    """Tell the notebook how views are shown that a cell ends with."""
    try:
        from IPython.core.getipython import get_ipython  # noqa: PLC0415  not there where there are no notebooks
    except ImportError:
        return
    shell = get_ipython()
    if shell is not None and shell.display_formatter is not None:
        for kind in _VIEWS:
            shell.display_formatter.mimebundle_formatter.for_type(kind, lambda view, **_: bundle(view))
