#!/usr/bin/env python3
"""Print the JSON Schema of the configuration; `make schema` puts it where editors find it."""

import json
import sys
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from exporter.config.model import File


class _Generator(GenerateJsonSchema):
    """Without titles: they repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002  # pydantic's
        return False

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> dict[str, Any]:  # noqa: ANN401  # pydantic's
        generated = super().generate(schema, mode)
        for shape in (generated, *generated["$defs"].values()):
            shape.pop("title")
        return {"$schema": self.schema_dialect, "title": "agent-rest-exporter", **generated}


schema = File.model_json_schema(schema_generator=_Generator)
sys.stdout.write(json.dumps(schema, indent=2) + "\n")
