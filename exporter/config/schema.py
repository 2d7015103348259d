"""The JSON Schema of the configuration: `python -m exporter.config.schema` prints it.

`make schema` commits it as `deploy/config.schema.json`, where editors find it.
"""

import json
import sys
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from exporter.config.model import File


class _Generator(GenerateJsonSchema):
    """Without titles: they repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 -- pydantic's
        return False

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> dict[str, Any]:  # noqa: ANN401 -- pydantic's
        generated = super().generate(schema, mode)
        for shape in (generated, *generated["$defs"].values()):
            shape.pop("title")
        return {"$schema": self.schema_dialect, "title": "agent-rest-exporter", **generated}


def schema() -> dict[str, Any]:
    """The schema, draft 2020-12, with each key's description and default."""
    return File.model_json_schema(schema_generator=_Generator)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
