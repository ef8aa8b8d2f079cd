"""Owns views as people see them: a page that needs no network, a picture in a file, a small picture in the terminal.

    charts      the converter of Vega-Lite, and nobody else knows it
    page        self-contained HTML
    files       a view as the contents of a file, by the file's name
    scene       a drawn chart as marks with their places
    terminal    a view as lines of text in colour

Views come from plugins and hold what steps have written: nothing in them is trusted.
"""

from __future__ import annotations

from meson_core.showing.files import FORMATS, written
from meson_core.showing.page import page
from meson_core.showing.terminal import lines

__all__ = ["FORMATS", "lines", "page", "written"]
