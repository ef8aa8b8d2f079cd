"""Owns the promises of the build files: the lock, the versions, the job list, the contracts' reach."""

from __future__ import annotations

import importlib
import re
import tomllib
from typing import Any

import pytest

from tests.repo.tracked import ROOT, text_of, tracked


def _manifest(member: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / member / "pyproject.toml").read_text(encoding="utf-8"))


def _members() -> list[str]:
    return [str(path.parent) for path in tracked("pyproject.toml")]


def test_the_lock_pins_everything_by_hash_and_names_no_index() -> None:
    """An installation gets the bytes that were tested, from wherever its index says."""
    lock = text_of(next(path for path in tracked("requirements.lock")))
    requirements = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", lock, flags=re.MULTILINE).strip())

    assert len(requirements) > 20
    assert [] == [line for line in requirements if "==" not in line.split()[0] or "--hash=sha256:" not in line]
    assert [] == re.findall(r"(?:https?|file)://\S+|^-\S+", lock, flags=re.MULTILINE)


def test_the_lock_covers_what_every_member_asks_for() -> None:
    """A dependency that was added and not locked would be missing on the next machine."""
    locked = set(re.findall(r"^([a-z0-9-]+)==", text_of(next(iter(tracked("requirements.lock")))), flags=re.MULTILINE))
    own = {_manifest(member)["project"]["name"] for member in _members()}
    asked = {
        re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-").replace(".", "-")
        for member in _members()
        for group in (
            _manifest(member)["project"].get("dependencies", []),
            *_manifest(member).get("dependency-groups", {}).values(),
        )
        for requirement in group
        if isinstance(requirement, str)
    }

    assert set() == asked - locked - own


@pytest.mark.parametrize(("member", "module"), [(".", "meson_core"), ("executor", "meson_executor")])
def test_code_and_distribution_have_one_version(member: str, module: str) -> None:
    """What `--version` says is what was installed."""
    assert _manifest(member)["project"]["version"] == importlib.import_module(module).__version__


def test_every_contract_covers_what_there_is() -> None:
    """`*.name` in a contract matches nothing once a package is renamed, and would then forbid nothing."""
    contracts = _manifest(".")["tool"]["importlinter"]["contracts"]
    wild = {
        name.removeprefix("*.")
        for contract in contracts
        for key in ("source_modules", "forbidden_modules")
        for name in contract.get(key, [])
        if name.startswith("*.")
    }
    layers = " ".join(next(contract["layers"] for contract in contracts if contract["type"] == "layers"))

    assert set() == wild - set(re.findall(r"\w+", layers))


def test_every_plugin_is_under_contract() -> None:
    """A new plugin is held to the plugin surface from its first commit."""
    roots = set(_manifest(".")["tool"]["importlinter"]["root_packages"])
    plugins = {
        path.parts[2]
        for path in tracked("/__init__.py")
        if path.parts[0] == "plugins" and len(path.parts) == 4 and path.parts[2] != "tests"
    }

    assert set() == plugins - roots


def test_the_job_list_is_one() -> None:
    """People and CI use the same names, and `make` alone explains each."""
    makefile = text_of(next(path for path in tracked("Makefile") if path.name == "Makefile"))
    jobs = set(re.findall(r"^([a-z]+):.*##", makefile, flags=re.MULTILINE))
    declared = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    called = set(re.findall(r"\bmake ([a-z]+)", text_of(next(iter(tracked(".ci/run"))))))

    assert declared
    assert set(declared.group(1).split()) == jobs
    assert called
    assert set() == called - jobs
