"""Owns durations as people write them."""

from __future__ import annotations

import math
import re

_UNITS = {
    "ms": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_WHOLE = re.compile(rf"\s*(?:{_PART.pattern}\s*)+")


def parse_duration(text: str | float) -> float:
    """Seconds from `"10 min"`, `"1h 30m"`, `"500 ms"` or a plain number of seconds.

    Raises:
        ValueError: not a duration, with the text and the accepted units.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        if not math.isfinite(text) or text < 0:
            msg = f"{text!r} is not a duration: it must be a number of seconds, 0 or more"
            raise ValueError(msg)
        return float(text)
    if not isinstance(text, str) or _WHOLE.fullmatch(text) is None:
        msg = f"{text!r} is not a duration; write seconds as a number, or a text like '10 min', '1h 30m' or '2 days'"
        raise ValueError(msg)
    seconds = 0.0
    for amount, unit in _PART.findall(text):
        name = unit.lower()
        factor = _UNITS.get(name) or _UNITS.get(name.removesuffix("s"))
        if factor is None:
            msg = f"{text!r} is not a duration: there is no unit {unit!r}; there are ms, s, min, h and days"
            raise ValueError(msg)
        seconds += float(amount) * factor
    return seconds
