"""Owns the hook reference of the documentation, made of what the hook specifications and the ports say of themselves.

python -m meson_core.plugins.reference > docs/hooks.md
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from meson_core import artifacts, hookspecs, ports, resources

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTION = re.compile(r"^(When|Args|Returns|Errors|Example|Since):(.*)$")
_BANNER = re.compile(r"^# --- (.+?) -+$")
_OPENING = f"""<!-- Made by `python -m meson_core.plugins.reference`; change `meson_core/hookspecs.py` instead. -->

# Hooks

A plugin is a distribution with an entry point in the group `{hookspecs.GROUP}`, which names a module or an object. It
implements any of the hooks below with `@hookimpl`. A plugin that does not load is listed with its error
(`mesonctl plugins list`), and only workflows that need it are refused.

```toml
[project.entry-points."{hookspecs.GROUP}"]
greet = "meson_greet"
```

All but `meson_doctor` are *declare* hooks: they are called once, when the plugin is loaded, and return definitions.
Importing a plugin must be quick; client libraries are imported when they are first used. `MESON_TRACE_HOOKS=1` tells which hook of
which plugin is called, and how long it takes. Every example on this page is run by the tests.
"""
#: What a hook's definitions are made of, and what crosses them, in the order in which a reader needs it.
_PORTS: dict[str, tuple[type, ...]] = {
    "meson_step_kinds": (
        ports.ProgramKind,
        ports.Program,
        ports.PythonCall,
        ports.PathTo,
        ports.InputOf,
        ports.SecretNamed,
        ports.ServiceKind,
        ports.StepContext,
        ports.StepCapabilities,
    ),
    "meson_resource_schedulers": (
        ports.SchedulerDefinition,
        ports.SchedulerSetting,
        ports.SchedulerCapabilities,
        ports.ResourceScheduler,
        ports.Placement,
        ports.Template,
        ports.Report,
        ports.Present,
        ports.Silent,
        ports.Gone,
        ports.Sample,
        ports.RequestClass,
    ),
    "meson_resource_matchers": (
        ports.ResourceMatcher,
        resources.Request,
        resources.Offer,
        resources.Refusal,
        resources.Score,
    ),
    "meson_artifact_stores": (ports.ArtifactStoreDefinition, ports.ArtifactStore),
    "meson_artifact_types": (
        artifacts.ArtifactType,
        artifacts.ArtifactVersion,
        artifacts.ArtifactRecord,
        artifacts.VegaLite,
        artifacts.TableView,
        artifacts.ImageView,
        artifacts.HtmlView,
        artifacts.TextView,
    ),
    "meson_visualizers": (artifacts.Visualizer,),
    "meson_doctor": (ports.DoctorCheck,),
}


class HookDoc(NamedTuple):
    """What one hook's docstring says.

    Args:
        name: of the hook.
        family: the banner above it.
        signature: as it is called.
        summary: its first paragraph.
        sections: title → text, one paragraph each; "Example" is Python code.
    """

    name: str
    family: str
    signature: str
    summary: str
    sections: dict[str, str]


def hook_docs() -> list[HookDoc]:
    """All hooks, in the order of their specifications."""
    source = inspect.getsource(hookspecs)
    banners = [(at, found.group(1)) for at, line in enumerate(source.splitlines(), 1) if (found := _BANNER.match(line))]
    hooks: list[HookDoc] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("meson_"):
            function = getattr(hookspecs, node.name)
            family = [title for at, title in banners if at < node.lineno][-1]
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            summary, sections = _split(inspect.getdoc(function) or "")
            signature = f"{node.name}({ast.unparse(node.args)}){returns}"
            hooks.append(HookDoc(node.name, family, signature, summary, sections))
    return hooks


def render() -> str:
    """The page."""
    parts = [_OPENING]
    family = ""
    for hook in hook_docs():
        if hook.family != family:
            family = hook.family
            parts.append(f"## {family[:1].upper()}{family[1:]}\n")
        parts.append(f"### `{hook.name}`\n\n```python\n{hook.signature}\n```\n\n{hook.summary}\n")
        for title, text in hook.sections.items():
            if title == "Example":
                parts.append(f"```python\n{text}\n```\n")
            else:
                parts.append(f"**{title}.** {text[:1].upper()}{text[1:]}\n")
        parts.extend(_describe(port) for port in _PORTS[hook.name])
    return "\n".join(parts)


def _split(doc: str) -> tuple[str, dict[str, str]]:
    """The summary and the sections of a docstring."""
    title, found = "", {"": [""]}
    for line in doc.splitlines():
        heading = _SECTION.match(line)
        if heading:
            title = heading.group(1)
            found[title] = [heading.group(2)]
        else:
            found[title].append(line)
    summary = _paragraph(found.pop(""))
    return summary, {
        name: inspect.cleandoc("\n".join(lines)) if name == "Example" else _paragraph(lines)
        for name, lines in found.items()
    }


def _paragraph(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())


# --- ports --------------------------------------------------------------------------------------------------------


def _describe(port: type) -> str:
    """A class of a port: what it is, its fields or its methods."""
    about, arguments = _class_doc(port)
    members = [(name, text or arguments.get(name.partition(":")[0], "")) for name, text in _members(port)]
    entries = [f"- `{name}`: {text}" if text else f"- `{name}`" for name, text in members]
    return "\n".join([f"#### `{port.__name__}`", "", about, "", *entries, ""])


def _class_doc(port: type) -> tuple[str, dict[str, str]]:
    """The summary and the arguments of a class."""
    doc = inspect.getdoc(port) or ""
    arguments: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w+:)", "\n" + doc.partition("Args:\n")[2]):
        found = re.match(r"    (\w+):(.*)", entry, re.DOTALL)
        if found:
            arguments[found.group(1)] = _paragraph(found.group(2).splitlines())
    return _split(doc)[0], arguments


def _members(port: type) -> Iterator[tuple[str, str]]:
    """Fields and methods as they are written, with what is said of them on the spot."""
    source = textwrap.dedent(inspect.getsource(port))
    lines = source.splitlines()
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    for node in definition.body:
        if isinstance(node, ast.AnnAssign):
            above = lines[node.lineno - 2].strip()
            text = above.removeprefix("#: ") if above.startswith("#: ") else ""
            yield f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}", text
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            text = _paragraph((ast.get_docstring(node) or "").splitlines())
            if any(ast.unparse(one) == "property" for one in node.decorator_list):
                yield node.name, text
            else:
                yield _signature(node), text


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    returns = "" if node.returns is None or ast.unparse(node.returns) == "None" else f" -> {ast.unparse(node.returns)}"
    return f"{prefix}{node.name}({arguments}){returns}"


if __name__ == "__main__":
    sys.stdout.write(render())
