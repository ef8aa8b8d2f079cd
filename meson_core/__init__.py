"""Owns the author's front door: the names that a workflow file needs."""

from __future__ import annotations

__version__ = "0.1.0"
