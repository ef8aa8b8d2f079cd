"""Owns the examination of a machine: whether steps in R can run on it."""

from __future__ import annotations

import os
import shutil
import subprocess

from meson_core.ports import DoctorCheck

#: R starts in a fifth of a second; on a slow network drive it takes a while.
_PATIENCE_S = 20.0
_QUESTION = """
cat(R.version.string, "\\n", sep = "")
cat(if (requireNamespace("jsonlite", quietly = TRUE)) format(utils::packageVersion("jsonlite")), "\\n", sep = "")
cat(paste(.libPaths(), collapse = ", "), "\\n", sep = "")
"""
_MEND = "on Debian and Ubuntu: apt install {packages}"


def examine() -> list[DoctorCheck]:
    """Look for Rscript, as a step does, and ask it for its version and for jsonlite."""
    asked = os.environ.get("MESON_RSCRIPT") or "Rscript"
    rscript = shutil.which(asked)
    if rscript is None:
        mend = _MEND.format(packages="r-base-core r-cran-jsonlite")
        text = f"there is no {asked} on this machine, so no step in R can run here; {mend}"
        return [DoctorCheck("rscript", ok=False, text=text)]
    try:
        asking = subprocess.run(  # noqa: S603 (the person's own Rscript, as the steps would start it)
            [rscript, "--vanilla", "-e", _QUESTION], capture_output=True, text=True, check=True, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        return [DoctorCheck("rscript", ok=False, text=f"{rscript} does not work: {error}")]
    version, jsonlite, libraries, *_ = [*asking.stdout.split("\n"), "", "", ""]
    found = DoctorCheck("rscript", ok=True, text=f"{version} at {rscript}")
    if jsonlite:
        return [found, DoctorCheck("jsonlite", ok=True, text=f"jsonlite {jsonlite}")]
    mend = _MEND.format(packages="r-cran-jsonlite")
    text = f'the R package jsonlite is not in {libraries}; {mend}, elsewhere: install.packages("jsonlite")'
    return [found, DoctorCheck("jsonlite", ok=False, text=text)]
