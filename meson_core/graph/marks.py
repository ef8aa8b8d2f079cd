"""Owns the marks of states and nodes: a sign for the terminal and a drawing for pictures, one for each."""

from __future__ import annotations

from meson_core.spec.states import State

#: One column wide in a terminal.
SIGNS: dict[State, str] = {
    State.waiting: "·",
    State.activated: "◔",
    State.ready: "○",
    State.starting: "◐",
    State.running: "●",
    State.retrying: "↻",
    State.lost: "?",
    State.paused: "‖",
    State.cancelling: "◌",
    State.outcome_unknown: "‽",
    State.succeeded: "✓",
    State.skipped: "»",
    State.not_chosen: "◇",
    State.failed: "✗",
    State.upstream_failed: "↯",
    State.cancelled: "⊘",
}

#: SVG paths in a square of 18, drawn as lines.
MARKS: dict[State, str] = {
    State.waiting: "M5 9h.01M9 9h.01M13 9h.01",
    State.activated: "M9 4.5v4.5h4",
    State.ready: "M6 4.5h6M6 13.5h6M6.5 4.5c0 3 5 6 5 9M11.5 4.5c0 3-5 6-5 9",
    State.starting: "M9 13.5v-9M5.5 8L9 4.5 12.5 8",
    State.running: "M7 5.5l5.5 3.5-5.5 3.5z",
    State.retrying: "M13 6.5a4.8 4.8 0 1 0 .8 3.5M13.5 3.8v3h-3",
    State.lost: "M6.5 6.5a2.5 2.5 0 1 1 3.6 2.3c-.7.4-1.1.9-1.1 1.7M9 13.2h.01",
    State.paused: "M7 5.5v7M11 5.5v7",
    State.cancelling: "M6 6h6v6h-6z",
    State.outcome_unknown: "M6.5 6.5a2.5 2.5 0 1 1 3.6 2.3c-.7.4-1.1.9-1.1 1.7M9 13.2h.01",
    State.succeeded: "M5 9.5l2.8 2.8L13 6.5",
    State.skipped: "M5 5.5l3.5 3.5L5 12.5M9.5 5.5L13 9l-3.5 3.5",
    State.not_chosen: "M5.5 9h7",
    State.failed: "M6 6l6 6M12 6l-6 6",
    State.upstream_failed: "M10 4.5L6.5 9.5h5L8 14",
    State.cancelled: "M5.7 5.7l6.6 6.6",
}

#: The same for containers, by the word of the spec.
CONTAINERS: dict[str, str] = {
    "for_each": "M3 6h9v9h-9zM6 6V3h9v9h-3",
    "repeat": "M14.5 7.5a6 6 0 1 0 .4 3M15 3.5v4h-4",
    "choose": "M9 2.5L15.5 9 9 15.5 2.5 9z",
    "subworkflow": "M2.5 4.5h5v4h-5zM10.5 10h5v4h-5zM7.5 6.5h3.5v3.5",
}
