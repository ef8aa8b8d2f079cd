"""Owns plugins: finding them, loading them one by one so that a broken one hurts nobody else, and what they declare.

    discovery      which plugins are installed, and from which distribution
    conformance    whether what a plugin declares is what the hooks promise
    loading        the way of each plugin: imported, registered, asked
    record         what is known about a plugin
    registry       what all of them declare, and look-ups that say why something is not there
    doctor         everything that can be said about the installed plugins without running a workflow

pluggy validates and calls. Finding is the standard library's `importlib.metadata`, and not stevedore, of which nothing
would be left to use: its list does not say which distribution a plugin comes from and merges two distributions that
declare the same thing; its cache file rounds times to 128 seconds, so that a plugin that was just installed anew is
found as it was before; and from its loader `SystemExit` and `AssertionError` escape. Reading the entry points of 60
distributions takes 2 ms.
"""

from __future__ import annotations

from meson_core.plugins.doctor import Finding, diagnose
from meson_core.plugins.loading import load_plugins
from meson_core.plugins.record import PluginInfo, PluginState
from meson_core.plugins.registry import Plugins

__all__ = ["Finding", "PluginInfo", "PluginState", "Plugins", "diagnose", "load_plugins"]
