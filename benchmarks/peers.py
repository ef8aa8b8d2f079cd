"""Owns the systems that Meson is compared with: an environment of their own, and the same workload in it.

    python -m benchmarks.peers          make .venv-peers and install Ray into it; its figures are measured from then on

Nothing of them gets into Meson's environment, and without `.venv-peers` the benchmarks leave the comparison out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

VENV = Path(__file__).parents[1] / ".venv-peers"
PYTHON = VENV / "bin" / "python"
RAY = "ray==2.60.0"

# As many cores as Meson is given. The warm-up has the worker processes started and the function shipped, and workers
# live as long as the cluster, so that only calls are measured.
_RAY = """
import json, logging, os, sys, time
import ray
count = int(sys.argv[1])
ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, configure_logging=False)
@ray.remote
def nothing(i):
    return {"result": i}
ray.get([nothing.remote(i) for i in range(200)])
begin = time.perf_counter()
found = ray.get([nothing.remote(i) for i in range(count)])
took = time.perf_counter() - begin
assert len(found) == count
ray.shutdown()
print(json.dumps({"rate": count / took}))
"""


def installed() -> str | None:
    """Version of the Ray that is installed; None when there is none."""
    if not PYTHON.exists():
        return None
    command = [str(PYTHON), "-c", "import importlib.metadata as m; print(m.version('ray'))"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def ray(count: int) -> float:
    """`count` no-op tasks in a warm local cluster of two cores, nothing durable; the rate in tasks a second."""
    found = subprocess.run(
        [PYTHON, "-W", "ignore", "-c", _RAY, str(count)],
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        raise RuntimeError(f"Ray failed with exit code {found.returncode}:\n{found.stderr}")
    rate: float = json.loads(found.stdout.splitlines()[-1])["rate"]
    return rate


def install() -> None:
    """Make the environment."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, VENV], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", PYTHON, RAY], check=True)


if __name__ == "__main__":
    if installed() is None:
        install()
    sys.stdout.write(f"Ray {installed()}: {ray(1000):,.0f} no-op tasks a second\n")
