"""What the configuration's model and its JSON Schema say, for tests that compare documents."""

import json
from typing import Any, Final

from exporter.config.model import File, Shape, shapes_by_key
from tests.support.paths import ROOT

SCHEMA: Final[dict[str, Any]] = json.loads(
    (ROOT / "deploy" / "config.schema.json").read_text(encoding="utf-8")
)


def keys(shape: type[Shape] = File, prefix: str = "") -> tuple[str, ...]:
    """Every key of the file, such as `cms.targets.ccId`, in the order of the model."""
    found: list[str] = []
    for key, below in shapes_by_key(shape).items():
        found.append(prefix + key)
        if below:
            found.extend(keys(below, f"{prefix}{key}."))
    return tuple(found)
