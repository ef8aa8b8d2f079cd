"""Owns the measurements: every figure stands beside a bare baseline of the same run, so that ratios can be compared."""
