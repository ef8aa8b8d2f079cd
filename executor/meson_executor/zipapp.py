"""Owns the executor as one file: `python -m meson_executor.zipapp OUT` packs it with all that workers need.

The file runs on any Python from 3.9 on, with nothing installed: `python3 OUT --dir … --executor …`.
"""

from __future__ import annotations

import os
import sys
import zipfile

import meson_executor
import meson_runtime

_MAIN = b"""import sys
from meson_executor.__main__ import main
sys.exit(main())
"""
#: Same bytes from same sources, whenever and wherever they are packed.
_TIME = (1980, 1, 1, 0, 0, 0)


def build(out: str) -> None:
    """Write the archive to `out`.

    Raises:
        OSError: it cannot be written.
    """
    with open(out, "wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "__main__.py", _MAIN)
            for package in (meson_executor, meson_runtime):
                folder = os.path.dirname(os.path.abspath(str(package.__file__)))
                for name in sorted(os.listdir(folder)):
                    if name.endswith((".py", ".typed")):
                        with open(os.path.join(folder, name), "rb") as source:
                            _add(archive, "%s/%s" % (package.__name__, name), source.read())
    os.chmod(out, 0o755)  # noqa: S103 - a program that anybody may run


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m meson_executor.zipapp OUT\n")
        return 2
    build(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
