"""Owns how the documentation is built: MyST Markdown, the furo theme, warnings are errors."""

from __future__ import annotations

from meson_core import __version__

project = "Meson"
author = "The Meson authors"
version = release = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Meson"
templates_path: list[str] = []
nitpicky = True
# The page of states holds a Mermaid diagram, which code hosts draw and Pygments does not know.
suppress_warnings = ["misc.highlighting_failure"]
