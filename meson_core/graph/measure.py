"""Owns how wide a text will be, near enough to make boxes that fit."""

from __future__ import annotations

# Widths in em of a common sans-serif face, by groups of characters.
_WIDTHS = {
    **dict.fromkeys("ijlI|'!.,:;`", 0.27),
    **dict.fromkeys('frt()[]{}/\\-" ', 0.38),
    **dict.fromkeys("mMW@%", 0.90),
    **dict.fromkeys("w", 0.78),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 0.70),
    **dict.fromkeys("_=+<>~#$0123456789", 0.62),
}
_USUAL = 0.58
_WIDE = 1.0


def width_of(text: str, size: float) -> float:
    """How wide a text of this font size is, in pixels."""
    return sum(_WIDTHS.get(char, _USUAL if char < "\u2e80" else _WIDE) for char in text) * size


def cut(text: str, size: float, width: float) -> str:
    """The text, with an ellipsis instead of what is too much."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"
