"""Owns the pure state machine of a run: events in, changes and commands out; it never sees a value, a clock or IO."""

from __future__ import annotations

from meson_core.engine.identity import job_key
from meson_core.engine.machine import RunMachine
from meson_core.engine.views import LiveAttempt

__all__ = ["LiveAttempt", "RunMachine", "job_key"]
