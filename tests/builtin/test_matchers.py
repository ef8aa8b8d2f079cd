"""Owns the promises of the built-in resource matchers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.builtin.matchers import Constraints, Pack, Quantities, Spread, meson_resource_matchers
from meson_core.errors import ExpressionError
from meson_core.resources import Offer, Refusal, Request, Score

if TYPE_CHECKING:
    from meson_core.ports import ResourceMatcher
    from meson_core.resources import Attribute, Verdict


def verdict(matcher: ResourceMatcher, request: Request, offer: Offer) -> Verdict | None:
    match = matcher.compile(request)
    if match is None:
        return None
    (found,) = match([offer])
    assert list(match([])) == []
    assert list(match([offer, offer])) == [found, found]
    return found


def asks(**quantities: float) -> Request:
    return Request(tuple(quantities.items()))


def offer(free: dict[str, float], total: dict[str, float] | None = None, **attributes: Attribute) -> Offer:
    return Offer("1", "m", free, total or free, attributes)


QUANTITIES = [
    (asks(cpus=1), offer({"cpus": 1}), Score()),
    (asks(cpus=0.3), offer({"cpus": 0.1 + 0.1 + 0.1 - 1e-12}), Score()),
    (asks(cpus=2), offer({"cpus": 1}, {"cpus": 4}), Refusal("quantities", "cpus >= 2", "1 free of 4", "busy")),
    (asks(cpus=2), offer({"cpus": -3}, {"cpus": 4}), Refusal("quantities", "cpus >= 2", "0 free of 4", "busy")),
    (asks(cpus=8), offer({"cpus": 1}, {"cpus": 4}), Refusal("quantities", "cpus >= 8", "4 in all", "never")),
    (asks(gpus=1), offer({"cpus": 1}), Refusal("quantities", "gpus >= 1", "no gpus", "never")),
    (asks(cpus=0, gpus=0), offer({}), None),
    (Request(()), offer({}), None),
    (asks(memory=2.5e9), offer({"memory": 2e9}), Refusal("quantities", "memory >= 2.5 GB", "2 GB in all", "never")),
    (asks(disk=2e12), offer({"disk": 5e6}), Refusal("quantities", "disk >= 2 TB", "5 MB in all", "never")),
    (asks(memory=5e3), offer({"memory": 7}), Refusal("quantities", "memory >= 5 KB", "7 B in all", "never")),
    # What can never be had counts more than what is only taken now.
    (
        asks(cpus=1, gpus=1),
        offer({"cpus": 0}, {"cpus": 4}),
        Refusal("quantities", "gpus >= 1", "no gpus", "never"),
    ),
    (
        asks(cpus=1, memory=1e9),
        offer({"cpus": 0, "memory": 0}, {"cpus": 4, "memory": 2e9}),
        Refusal("quantities", "cpus >= 1", "0 free of 4", "busy"),
    ),
]


@pytest.mark.parametrize(("request_", "offered", "expected"), QUANTITIES)
def test_quantities(request_: Request, offered: Offer, expected: Verdict | None) -> None:
    assert verdict(Quantities(), request_, offered) == expected


CONSTRAINTS = [
    ('zone == "a"', {"zone": "a"}, None),
    ('zone == "a"', {"zone": "b"}, "zone = 'b'"),
    ('zone == "a"', {}, "no zone"),
    ('spark in ("3.5", "4.1")', {"spark": "4.1"}, None),
    ('spark in ("3.5", "4.1")', {"spark": "2.0"}, "spark = '2.0'"),
    ("gpus >= 1", {}, None),
    ("gpus >= 3", {}, "gpus = 2.0"),
    ('gpus >= 1 and zone == "a" and rack == 7', {}, "no zone and no rack"),
    ('zone == "a" or zone == "b"', {"zone": "b"}, None),
    ("fast", {"fast": True}, None),
    ("fast", {"fast": False}, "fast = False"),
    ("zone > 3", {"zone": "a"}, "cannot evaluate `zone > 3`: > does not work on str 'a' and int 3 (with zone = 'a')"),
    ("1 > 2", {}, "a constraint that never holds"),
]


@pytest.mark.parametrize(("text", "attributes", "found"), CONSTRAINTS)
def test_constraints(text: str, attributes: dict[str, Attribute], found: str | None) -> None:
    """Quantities mean what the machine has when it is idle: a constraint describes a machine, not a moment."""
    request = Request((), (text,))
    expected: Verdict = Score() if found is None else Refusal("constraints", text, found)

    assert verdict(Constraints(), request, offer({"gpus": 0.0}, {"gpus": 2.0}, **attributes)) == expected


def test_all_constraints_must_hold() -> None:
    request = Request((), ("gpus >= 1", 'zone == "a"'))

    assert verdict(Constraints(), request, offer({"gpus": 1.0}, zone="a")) == Score()
    assert verdict(Constraints(), request, offer({"gpus": 1.0}, zone="b")) == Refusal(
        "constraints", 'zone == "a"', "zone = 'b'"
    )
    assert verdict(Constraints(), Request(()), offer({})) is None


def test_a_constraint_that_does_not_parse_is_an_error() -> None:
    with pytest.raises(ExpressionError):
        Constraints().compile(Request((), ("zone = ",)))


def test_packing_and_spreading_are_opposites() -> None:
    empty = offer({"cpus": 4.0, "memory": 8.0})
    half = offer({"cpus": 2.0, "memory": 4.0}, {"cpus": 4.0, "memory": 8.0})
    mixed = offer({"cpus": 4.0, "memory": 4.0}, {"cpus": 4.0, "memory": 8.0})
    request = asks(cpus=1, memory=1, disk=0)

    assert [verdict(Pack(), request, one) for one in (empty, mixed, half)] == [Score(0.0), Score(0.25), Score(0.5)]
    assert [verdict(Spread(), request, one) for one in (empty, mixed, half)] == [Score(0.0), Score(-0.25), Score(-0.5)]
    assert verdict(Pack(), Request(()), empty) is None
    assert verdict(Pack(), asks(gpus=1), empty) == Score(0.0)


def test_the_plugin_declares_them_all() -> None:
    assert [matcher.name for matcher in meson_resource_matchers()] == ["quantities", "constraints", "pack", "spread"]
