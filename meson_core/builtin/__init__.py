"""Owns the plugins that come with the core; they are found, loaded and held to the same rules as a stranger's."""

from __future__ import annotations
