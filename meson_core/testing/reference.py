"""Owns the page of kits in the documentation, made of what the kits say of themselves.

python -m meson_core.testing.reference > docs/kits.md
"""

from __future__ import annotations

import ast
import inspect
import sys
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPENING = """<!-- Made by `python -m meson_core.testing.reference`; change the kits in `meson_core/testing` instead. -->

# Kits

A kit is everything that Meson asks of plugins of one kind, as tests. A plugin's conformance test is a subclass with the
plugin in it; pytest finds it by its name, which begins with `Test`. The built-in plugins pass the same kits, and for each
check Meson's own tests have a plugin that is wrong in just that, and is found out by it.

The kits come with meson-core, and so does a pytest plugin with these fixtures:

| Fixture | What it is |
| --- | --- |
| `meson_project` | a project in a folder of its own: `meson_project.write("flow.py", …)`, `meson_project.mesonctl("run", "flow.py")` |
| `meson_fake_service` | starts fake outside services, which count what is submitted to them and misbehave on demand |
| `meson_clock` | a clock that the test turns; `meson_clock.run(main())` makes asyncio live by it |

**Capability flags** turn checks on and off: what a plugin does not declare is not asked of it (`StepCapabilities`,
`SchedulerCapabilities`), and what cannot be tried where the tests run is said by an attribute of the test. Checks that need
what only the plugin's author can do (count the jobs at a service, break an executor) are methods to override, and are skipped
otherwise: `pytest -rs` tells which.

**Faults** are injected: hosts are killed between any two moves of a step and at any moment of a `put`; the executor is cut off
from its scheduler, messages come twice, get lost, or come too late; disks are full.

The examples on this page are run by the tests.
"""


class Kit(NamedTuple):
    """A kit, as its page tells it.

    Args:
        name: of the class.
        module: where it is, below `meson_core.testing`.
        title: above its part of the page.
        bases: kits whose attributes and checks it has as well.
    """

    name: str
    module: str
    title: str
    bases: tuple[str, ...] = ()


KITS = (
    Kit("ProgramKindKit", "kinds", "Step kinds that describe programs or calls", ("StepKindKit",)),
    Kit("ServiceKindKit", "kinds", "Step kinds that talk to a service", ("StepKindKit",)),
    Kit("ResourceSchedulerKit", "schedulers", "Resource schedulers"),
    Kit("ResourceMatcherKit", "matchers", "Resource matchers"),
    Kit("ArtifactStoreKit", "artifact_stores", "Artifact stores"),
    Kit("ArtifactTypeKit", "artifacts", "Artifact types"),
    Kit("VisualizerKit", "artifacts", "Visualizers"),
)


def render() -> str:
    """The page."""
    return "\n".join([_OPENING, *(_part(kit) for kit in KITS)])


def _part(kit: Kit) -> str:
    source = files("meson_core.testing").joinpath(f"{kit.module}.py").read_text(encoding="utf-8")
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    family = [classes[name] for name in (*kit.bases, kit.name)]
    lines = [f"## {kit.title}: `{kit.name}`", "", _example(kit), "", "| To set | What it is |", "| --- | --- |"]
    # What a subclass says of an attribute goes before what its base says.
    attributes = {name: text for definition in family for name, text in _attributes(definition)}
    lines += [f"| {name} | {text} |" for name, text in attributes.items()]
    methods = [entry for definition in family for entry in _methods(definition)]
    if methods:
        lines += ["", "| To override | What it does |", "| --- | --- |"]
        lines += [f"| `{signature}` | {text} |" for signature, text in methods]
    lines += ["", "What is checked:", ""]
    for definition in family:
        lines += [f"- {sentence}" for sentence in _checks(definition)]
    return "\n".join([*lines, ""])


def _example(kit: Kit) -> str:
    text = files("meson_core.testing").joinpath("examples", f"{kit.name}.txt").read_text(encoding="utf-8")
    return f"```python\n{text.strip()}\n```"


def _attributes(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Name, with its default, and meaning of the attributes that a test sets."""
    for node, after in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = "" if node.value is None else f" = {ast.unparse(node.value)}"
            yield f"`{node.target.id}{default}`", _said(after)


def _said(node: ast.stmt | None) -> str:
    """The text below an attribute."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def _methods(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Methods that a test may override."""
    for node in definition.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith(("_", "test_")):
            arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
            returns = (
                ""
                if node.returns is None or ast.unparse(node.returns) == "None"
                else f" -> {ast.unparse(node.returns)}"
            )
            yield f"{node.name}({arguments}){returns}", _summary(node)


def _checks(definition: ast.ClassDef) -> Iterator[str]:
    """What is checked, and why."""
    for node in definition.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            why = _summary(node)
            sentence = node.name.removeprefix("test_").replace("_", " ")
            yield f"*{sentence}*{': ' + why[0].lower() + why[1:] if why else ''}"


def _summary(node: ast.FunctionDef) -> str:
    return " ".join(inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    sys.stdout.write(render())
