"""Owns placement: which attempt goes to which machine, when, and why the others wait. Pure: time and offers come in.

    stock        what is free on each machine, by offers, minus what was assigned since
    matching     resource matchers, compiled once per request class: refusals and scores
    shapes       one request class against all machines: the machines that take it, the best first
    queue        who is next: priorities, then owners and runs in turn, then first come, first served
    ahead        how much short work may be sent to an executor before it fits
    admission    the whole: tickets in, assignments out
    waits        why an attempt still waits, in a sentence and in detail

Cost is in proportion to what is placed and what has changed, never to what waits: a round of placement costs one look at
each waiting request class and each machine that has changed, and a few microseconds for every assignment.
"""

from __future__ import annotations

from meson_core.placement.admission import Admission, Assignment
from meson_core.placement.queue import Key, Ticket
from meson_core.placement.waits import Wait

__all__ = ["Admission", "Assignment", "Key", "Ticket", "Wait"]
