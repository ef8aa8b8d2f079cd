"""Owns plugins: finding them, loading them one by one so that a broken one hurts nobody else, and what they declare.

    discovery      which plugins are installed, and from which distribution
    conformance    whether what a plugin declares is what the hooks promise
    loading        the way of each plugin: imported, registered, asked
    record         what is known about a plugin
    registry       what all of them declare, and look-ups that say why something is not there
    doctor         everything that can be said about the installed plugins without running a workflow
    reference      the page of hooks in the documentation

stevedore imports, pluggy validates and calls; why discovery reads the entry points itself is said there.
"""

from __future__ import annotations

from meson_core.plugins.doctor import Finding, diagnose
from meson_core.plugins.loading import load_plugins
from meson_core.plugins.record import PluginInfo, PluginState
from meson_core.plugins.registry import Plugins

__all__ = ["Finding", "PluginInfo", "PluginState", "Plugins", "diagnose", "load_plugins"]
