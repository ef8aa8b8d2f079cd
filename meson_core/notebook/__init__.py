"""Owns Meson in a notebook: workflows run from a cell, are watched below it, and what they made is shown in place.

    project     what `meson_core.connect()` gives
    driving     the orchestrator of the notebook, in a thread of its own
    run         one run, and its view that follows it
    markup      text of others made into markup that is safe to show
    views       views of artifacts as bundles of media types

Nothing that a step, a workflow or an artifact says becomes markup of the notebook's page: it is escaped, or shown as a
picture, or in a frame that may do nothing.
"""

from __future__ import annotations

from meson_core.notebook.project import Project, connect
from meson_core.notebook.run import Run
from meson_core.notebook.views import Shown

__all__ = ["Project", "Run", "Shown", "connect"]
