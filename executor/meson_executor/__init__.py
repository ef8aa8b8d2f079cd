"""Owns the agent-side program that runs attempts, and the wire that it speaks."""

from __future__ import annotations

__version__ = "0.1.0"
