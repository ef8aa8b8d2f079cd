"""Owns a plugin that does not import: its client library is not installed."""

from __future__ import annotations

import surely_not_installed  # type: ignore[import-not-found]  # noqa: F401
