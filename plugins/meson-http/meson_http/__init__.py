"""Owns the step kind `http`: a call of a service, which may answer at once or take its time.

    publish = kind("http", name="publish", method="POST", url="https://registry.example.com/models/${name}/versions",
                   headers={"Authorization": "Bearer ${secret.registry}"}, json={"digest": "${model.digest}"},
                   deduplicates=True, returns={"version": "$.version"}, outputs={"version": int})

options        what an author writes, checked before anything runs
templates      `${…}`: inputs, facts, secrets
urls           values in URLs, each encoded by its place
paths          JSON paths: values in answers
discretion     secrets stay secret, whatever a service sends back
bodies         what is sent, streamed
exchange       one request and its answer: redirects, limits, TLS, what a failure means
answers        what came back, and the outputs that are made of it
waiting        how long to wait
step           the life of a step: submit, remember, poll, cancel

httpx is imported when the first step runs, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meson_core.hookspecs import hookimpl
from meson_core.ports import StepCapabilities
from meson_http.options import HttpOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from meson_core.ports import StepContext, StepKind

__all__ = ["Http", "HttpOptions"]
__version__ = "0.1.0"


class Http:
    """The step kind.

    Its capabilities are those of a service that can do everything; a step whose service cannot says so in its options, and
    tells it with each submission.
    """

    name = "http"
    Options = HttpOptions
    capabilities = StepCapabilities(kill=True, progress=True, deduplicates=True, finds=True)

    async def run(self, options: HttpOptions, ctx: StepContext) -> Mapping[str, Any]:
        """Call the service, wait for what it does, and return the outputs.

        Raises:
            BackendError: the service said no, or said nothing.
        """
        # In a thread: the import takes longer than other steps of this host should have to wait.
        carry_out: Callable[[HttpOptions, StepContext], Awaitable[Mapping[str, Any]]] = await ctx.call(_load)
        return await carry_out(options, ctx)


def _load() -> Any:
    from meson_http.step import carry_out  # noqa: PLC0415 (httpx comes with it)

    return carry_out


@hookimpl
def meson_step_kinds() -> list[StepKind]:
    """The step kind `http`."""
    return [Http()]
