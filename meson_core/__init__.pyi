"""Owns the types of the front door: what `meson_core/__init__.py` imports when it is first used, as type checkers see it."""

from meson_core.dsl import draw as draw
from meson_core.dsl.build import build as build
from meson_core.dsl.compose import end as end
from meson_core.dsl.compose import parallel as parallel
from meson_core.dsl.compose import sequence as sequence
from meson_core.dsl.compose import start as start
from meson_core.dsl.composites import choose as choose
from meson_core.dsl.composites import for_each as for_each
from meson_core.dsl.composites import repeat as repeat
from meson_core.dsl.composites import when as when
from meson_core.dsl.documents import dump_yaml as dump_yaml
from meson_core.dsl.documents import load_json as load_json
from meson_core.dsl.documents import load_yaml as load_yaml
from meson_core.dsl.params import param as param
from meson_core.dsl.steps import kind as kind
from meson_core.dsl.sweeps import best as best
from meson_core.dsl.sweeps import bootstrap as bootstrap
from meson_core.dsl.sweeps import cross_validate as cross_validate
from meson_core.dsl.sweeps import sweep as sweep
from meson_core.dsl.values import expr as expr
from meson_core.dsl.workflows import subworkflow as subworkflow
from meson_core.dsl.workflows import workflow as workflow
from meson_core.errors import MesonError as MesonError
from meson_core.notebook.project import connect as connect
from meson_core.spec.model import Retry as Retry
from meson_runtime import Artifact as Artifact
from meson_runtime import ctx as ctx
from meson_runtime.declare import step as step

__version__: str
__all__: list[str]
