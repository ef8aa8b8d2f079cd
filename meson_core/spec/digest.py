"""Owns the identity of a definition: one canonical JSON text, its digest, and the version of a workflow.

What is left to its default is not in the text, so that a later Meson can add fields without changing any version; where
the author wrote a node is not in it either.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

if TYPE_CHECKING:
    from meson_core.spec.model import Workflow

#: Present even though they have their default: they say what is what.
_ALWAYS: Final = frozenset({"node", "format"})
_NEVER: Final = frozenset({"source"})


def plain(value: Any) -> Any:
    """A model as plain JSON data, without what is left to its default and without places."""
    if isinstance(value, BaseModel):
        defaults = _defaults(type(value))
        return {name: plain(part) for name, part in value if name not in _NEVER and part != defaults[name]}
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.value if isinstance(value, Enum) else value


@cache
def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The default of each field; what is always in the text has one that nothing is equal to."""
    nothing = object()
    return {
        name: nothing
        if name in _ALWAYS or field.is_required()
        else field.get_default(call_default_factory=True, validated_data={})
        for name, field in model.model_fields.items()
    }


def canonical_json(value: Any) -> str:
    """The one text of plain data: sorted keys, no spaces, no escapes that are not needed.

    Raises:
        ValueError: it has a number that JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(workflow: Workflow) -> str:
    """`sha256:…` of a definition."""
    return _sha256(canonical_json(plain(workflow)))


def version(workflow: Workflow, code_digest: str) -> str:
    """`sha256:…` of a definition together with the code that its steps use.

    Args:
        workflow: a checked one.
        code_digest: of the code bundle; "" when it has none.
    """
    return _sha256(canonical_json({"code": code_digest, "workflow": digest(workflow)}))


def _sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
