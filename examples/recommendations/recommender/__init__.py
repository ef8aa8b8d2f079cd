"""The modelling of the example: plain functions of arrays and files, which know nothing of Meson."""

from __future__ import annotations
