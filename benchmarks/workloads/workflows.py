"""Owns the workflows of the benchmarks: a single step, a chain, fan-outs of Python steps and of processes, a sweep."""

from __future__ import annotations

from meson_core import expr, for_each, kind, param, sequence, workflow
from steps import nothing, one_in_a_hundred

count = param("count", int, default=16)
each = for_each(i=expr("range(count)"))
sweep_each = for_each(i=expr("range(count)"), on_failure="finish")

one_step = workflow("one_step", nothing(i=1))
chain = workflow("chain", sequence(*(nothing(i=number).named(f"link_{number}") for number in range(200))))
fan_out = workflow("fan_out", each(nothing(i=each.i)), params=[count])
# Half a core each, of two: four at a time.
processes = workflow("processes", each(kind("shell", name="true_", command=["/bin/true"], cpus=0.5)), params=[count])
sweep = workflow("sweep", sweep_each(one_in_a_hundred(i=sweep_each.i)), params=[count])
