"""Owns lengths of time as they are typed: `90 s`, `30min`, `12 h`, `7 d`."""

from __future__ import annotations

from typing import Any

import click


class Age(click.ParamType[float]):
    """A length of time, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of what was typed."""
        from meson_core.dsl.durations import parse_duration

        try:
            return parse_duration(0 if value == "0" else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


AGE = Age()
