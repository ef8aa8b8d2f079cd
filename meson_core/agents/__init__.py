"""Owns the orchestrator's side of the executor protocol, for every resource scheduler and every transport.

    Roster      what we gave to one executor, over all its connections and incarnations
    Session     one connection: hello and welcome, numbers, templates, lease; bytes in, bytes out, no IO
    UnixLink    a session over a unix socket; other transports are further files beside it

A resource scheduler that reaches its executors by its own messages (Mesos) uses Roster and Session alone.
"""

from __future__ import annotations

from meson_core.agents.messages import (
    Emitted,
    Fact,
    Failed,
    Fenced,
    Killed,
    Link,
    Remembered,
    Returned,
    Started,
    Submitting,
    Succeeded,
    Welcome,
)
from meson_core.agents.roster import Roster
from meson_core.agents.session import Received, Session
from meson_core.agents.unix import UnixLink, open_unix_link

__all__ = [
    "Emitted",
    "Fact",
    "Failed",
    "Fenced",
    "Killed",
    "Link",
    "Received",
    "Remembered",
    "Returned",
    "Roster",
    "Session",
    "Started",
    "Submitting",
    "Succeeded",
    "UnixLink",
    "Welcome",
    "open_unix_link",
]
