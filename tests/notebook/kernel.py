"""Owns a real kernel for tests: cells are executed by Jupyter's own client, in a project of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DEADLINE_S = 40


class Kernel(NotebookClient):
    """Executes a notebook, and tells what comes while it does."""

    heard: Callable[[dict[str, Any]], None] | None = None

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """As the client does, and tell of it."""
        if self.heard is not None:
            self.heard(msg)
        return super().process_message(msg, cell, cell_index)


def execute(
    cells: Sequence[str], folder: Path, *, heard: Callable[[dict[str, Any]], None] | None = None
) -> list[list[dict[str, Any]]]:
    """Run cells in a fresh kernel whose folder is a project.

    Args:
        cells: their sources.
        folder: where the kernel works.
        heard: is told of every message of the kernel.

    Returns:
        The outputs of each cell.
    """
    made: Any = nbformat.v4  # it has no types of its own
    notebook = made.new_notebook(cells=[made.new_code_cell(cell) for cell in cells])
    kernel = Kernel(
        notebook,
        kernel_name="python3",
        timeout=DEADLINE_S,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    kernel.heard = heard
    kernel.execute()
    return [list(cell.outputs) for cell in notebook.cells]


def said(outputs: Sequence[dict[str, Any]]) -> str:
    """The last thing that a cell has said, as plain text."""
    if not outputs:
        return ""
    last = outputs[-1]
    if last["output_type"] == "error":
        return "\n".join(last["traceback"])
    return str(last["text"] if last["output_type"] == "stream" else last["data"]["text/plain"])
