"""Owns what a step sees of Meson: `step`, `ctx`, and the warm worker that runs Python steps."""

from __future__ import annotations
