"""Owns the workflows of the benchmarks: a chain, fan-outs of Python steps and of processes, a single step."""

from __future__ import annotations

from steps import nothing

from meson_core import expr, for_each, kind, param, sequence, workflow

count = param("count", int, default=1000)
each = for_each(i=expr("range(count)"))

one_step = workflow("one_step", nothing(i=1))
chain = workflow("chain", sequence(*(nothing(i=number).named(f"link_{number}") for number in range(200))))
fan_out = workflow("fan_out", each(nothing(i=each.i)), params=[count])
processes = workflow("processes", each(kind("shell", name="true_", command=["/bin/true"])), params=[count])
