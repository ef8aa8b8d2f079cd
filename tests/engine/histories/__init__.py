"""Owns the recorded histories: logs of runs with what the engine made of them, replayed by every build.

    python -m tests.engine.histories

records the ones that are missing. A recorded one is never recorded again: when it no longer replays, the engine's
behaviour has changed, and runs that are under way would change with it. Then `ENGINE_VERSION` goes up.
"""

from __future__ import annotations
