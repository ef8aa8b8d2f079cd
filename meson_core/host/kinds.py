"""Owns the way from an order to its step kind: only the plugin that is needed is loaded, once, and options are checked."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from meson_core.errors import MesonError, PluginBrokenError, PluginMissingError
from meson_core.plugins import PluginState, load_plugins
from meson_core.ports import ServiceKind

if TYPE_CHECKING:
    from pydantic import BaseModel

    from meson_core.plugins import Plugins


class OptionsError(MesonError):
    """A step kind refuses the options of a step that passed the checks elsewhere."""

    code = "options-refused"


class Bound(NamedTuple):
    """A step kind with the options of one step."""

    kind: ServiceKind
    options: BaseModel


class Kinds:
    """The step kinds of this environment."""

    def __init__(self) -> None:
        # Plugins are imported in a thread, so that the attempts that are under way do not wait for that.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="plugins")
        self._loading = asyncio.Lock()
        self._plugins: dict[str, Plugins] = {}

    async def bind(self, work: dict[str, Any]) -> Bound:
        """The step kind and the options that an order's work names.

        Args:
            work: as the executor protocol has it: "kind", "options", "distribution".

        Raises:
            PluginError: the plugin is not installed here, or is broken, or does not have this kind.
            OptionsError: the kind refuses the options.
        """
        name, distribution = str(work["kind"]), str(work.get("distribution") or "")
        kind = (await self._of(distribution)).kind(name)
        if not isinstance(kind, ServiceKind):
            message = f"step kind {name!r} of {distribution} describes programs here, and does not run in the host"
            raise PluginBrokenError(message, plugin=name, distribution=distribution)
        try:
            return Bound(kind, kind.Options.model_validate(work.get("options") or {}))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or 'options'}: {one['msg']}"
                for one in error.errors(include_url=False)
            )
            raise OptionsError(
                f"step kind {name!r} of {distribution} refuses the options: {problems}",
                hint="the environment of the step may have another version of the plugin",
            ) from None

    async def _of(self, distribution: str) -> Plugins:
        async with self._loading:
            found = self._plugins.get(distribution)
            if found is None:
                found = await asyncio.get_running_loop().run_in_executor(self._thread, _load, distribution)
                self._plugins[distribution] = found
        return found


def _load(distribution: str) -> Plugins:
    plugins = load_plugins(distribution=distribution or None, quiet=False)
    if all(info.state is PluginState.idle for info in plugins.listing):
        raise PluginMissingError(
            f"the distribution {distribution!r} is not installed in the environment of this step",
            plugin=distribution,
            distribution=distribution,
            hint="install it where the executor runs, or choose another environment for the step",
        )
    return plugins
