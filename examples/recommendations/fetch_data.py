"""Fetches MovieLens-100k into data/ml-100k, once, and verifies every file by its digest.

The data comes out of a wheel that carries it, so that the package index is the only place that has to be reached.
Its terms allow use for research and no redistribution: git ignores the folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "recbole==1.2.1"
INSIDE = "recbole/dataset_example/ml-100k"
TARGET = Path(__file__).parent / "data" / "ml-100k"
DIGESTS = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
}


class FetchError(Exception):
    """The data could not be had; the message says why and what to do."""


def wrong_files(folder: Path) -> list[str]:
    """Names of the files in a folder that are missing, or not what they should be."""
    return [name for name, digest in DIGESTS.items() if _digest(folder / name) != digest]


def fetch(target: Path) -> None:
    """Download the wheel, take the files of the data set out of it, verify them, and move them into place.

    Args:
        target: the folder to make; it appears only when all of it is right.

    Raises:
        FetchError: pip failed, or what it brought is something else.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        wheel = _download(Path(scratch))
        unpacked = Path(scratch) / target.name
        unpacked.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in DIGESTS:
                (unpacked / name).write_bytes(archive.read(f"{INSIDE}/{name}"))
        if wrong := wrong_files(unpacked):
            raise FetchError(f"{wheel.name} holds another {', '.join(wrong)} than this example was written for.")
        target.mkdir(exist_ok=True)
        for name in DIGESTS:
            (unpacked / name).replace(target / name)


def _download(folder: Path) -> Path:
    command = [*_pip(), "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), WHEEL]
    if subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode != 0:
        raise FetchError(
            f"pip could not download {WHEEL} (see above). Check that a package index can be reached, and try again."
        )
    return next(folder.glob("*.whl"))


def _pip() -> list[str]:
    """Pip of this interpreter, or of the one that its environment was made from."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [str(Path(sys.base_prefix) / "bin" / f"python{version}"), "-m", "pip"]


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def main() -> int:
    """Fetch what is not there; returns the exit code."""
    if wrong_files(TARGET):
        print(f"Fetching MovieLens-100k (2 MB, out of {WHEEL}) ...", flush=True)
        try:
            fetch(TARGET)
        except FetchError as error:
            print(f"fetch_data.py: {error}", file=sys.stderr)
            return 1
    rows = (TARGET / "ml-100k.inter").read_bytes().count(b"\n") - 1
    print(f"MovieLens-100k is verified in {TARGET}: {rows:,} ratings.")
    # The mark that make looks at; newer than this script, so that a second `make demo` starts at once.
    (TARGET / ".verified").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
