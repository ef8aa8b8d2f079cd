"""Owns the workflow whose attempts are killed: steps that put, leave behind, fail, read again, and hand on."""

from __future__ import annotations

from meson_core.spec.check import check
from meson_core.spec.model import Constant, Expression, ForEach, Parameter, Retry, Step, Workflow
from tests.catalogue.workers import POOL

ITEMS = 4
#: A run is of one of so many days; what it makes for a day is there for later runs of the same day.
DAYS = 3

#: What every step does: the artifacts among its inputs must be there, and what it has put must still be when it ends.
_SOURCE = f"""
import os, random, tempfile, time
from meson_runtime import ctx

def there(value):
    if isinstance(value, list):
        return [there(part) for part in value]
    if hasattr(value, "path") and not value.path.exists():
        raise RuntimeError("LOST: " + value.digest)

def put(rng):
    content = b"content %d %d" % (time.time() // 2, rng.randrange({POOL}))
    if rng.randrange(4):
        return ctx.put(content)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "part"), "wb") as file:
            file.write(content)
        return ctx.put(folder)

def f(**inputs):
    rng = random.Random()
    there(list(inputs.values()))
    left = put(rng)
    mine = put(rng)
    time.sleep(rng.random() * 0.06)
    if rng.randrange(4) == 0:
        raise ValueError("what it has put is nobody's now")
    there([left, mine])
    there(list(inputs.values()))
    return {{"x": mine}}
"""


def _step(name: str, artifact: str | None = None, **inputs: str) -> Step:
    bound = {key: Expression(expr=text) for key, text in inputs.items()}
    return Step(
        name=name,
        kind="python",
        options={"function": "f", "source": _SOURCE},
        inputs=bound,
        outputs={"x": "artifact"},
        artifact=artifact,
        retry=Retry(user=1000, platform=None, backoff_s=0.0),
    )


def workflow() -> Workflow:
    """A step, a loop over it, and one that gathers; the loop's models are kept by day and item."""
    train = _step("train", artifact="model/${day}/${i}", base="base.x", i="i", day="day")
    each = ForEach(name="each", variables={"i": Constant(value=list(range(ITEMS)))}, body=(train,))
    gather = _step("gather", all="train.x")
    return check(Workflow(name="killed", params={"day": Parameter(type="int")}, body=(_step("base"), each, gather)))
