"""Owns the host: the process on the executor's side in which the async steps of plugins wait, thousands of them.

__main__       the process: its socket, its signals, its end
link           lines to and from the executor (`meson_executor.hosts` defines them)
attempts       one task for each attempt: from its order to its end
context        what a step sees
kinds          step kinds out of the one plugin that a step needs
endings        what an exception of a step means
streams        what steps print and log, each into the log of its own attempt
"""

from __future__ import annotations
