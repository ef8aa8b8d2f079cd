"""Owns a block of lines at the end of a terminal that is painted again and again, with lasting lines above it.

Only lines that have changed are rendered and written, so painting costs what has changed. rich's own Live paints
everything each time, and wraps or cuts what does not fit.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
#: Terminals that know it show a frame when it is whole; others ignore it.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
#: What is longer than the terminal is wide is cut by it, also when it has become narrower since.
_CUT, _WRAP = "\x1b[?7l", "\x1b[?7h"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[2K", "\x1b[J"


class Screen:
    """The block. Use it from one thread.

    Args:
        console: a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._painted: list[Text] = []
        self._size = os.terminal_size((0, 0))

    @property
    def width(self) -> int:
        """Columns of the terminal now."""
        return self._console.width

    @property
    def height(self) -> int:
        """Lines that a block may have, so that all of it can be seen."""
        return max(3, self._console.height - 1)

    def paint(self, lines: Sequence[Text]) -> None:
        """Show these lines in place of those of the last call."""
        size = os.terminal_size((self._console.width, self._console.height))
        before, self._painted = self._painted, list(lines)
        parts = [_BEGIN, _HIDE, _CUT]
        if size != self._size:
            # Where the old lines are now is not known; what is below the first of them is painted anew.
            parts.append(self._up(len(before)) + _CLEAR_BELOW)
            before = []
            self._size = size
        else:
            parts.append(self._up(len(before)))
        for at, line in enumerate(lines):
            if at >= len(before) or before[at] != line:
                parts.append(_CLEAR_LINE + self._ansi(line))
            parts.append("\n")
        if len(lines) < len(before):
            parts.append(_CLEAR_BELOW)
        self._write("".join((*parts, _WRAP, _END)))

    def print_above(self, lines: Sequence[Text]) -> None:
        """Write lines that stay, above the block."""
        kept, self._painted = self._painted, []
        above = "".join(self._ansi(line) + "\n" for line in lines)
        self._write(f"{_BEGIN}{self._up(len(kept))}{_CLEAR_BELOW}{above}{_END}")
        self.paint(kept)

    def close(self, *, clear: bool) -> None:
        """Give the terminal back.

        Args:
            clear: take the block away; otherwise it stays as it was painted last.
        """
        erase = self._up(len(self._painted)) + _CLEAR_BELOW if clear else ""
        self._painted = []
        self._write(f"{erase}{_WRAP}{_SHOW}")

    def _up(self, count: int) -> str:
        return f"\x1b[{count}F" if count else ""

    def _ansi(self, line: Text) -> str:
        with self._console.capture() as written:
            self._console.print(line, end="", overflow="ellipsis", no_wrap=True, crop=True)
        return written.get()

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()
