"""Types of the file's values: each says what it expects in the words of the file.

A value that does not fit is reported as a pydantic error: of type `EXPECTED` with what it must be,
to which its reader adds what it is, or of another type with a complete sentence.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from exporter import durations
from exporter.secret import Secret
from exporter.server import VDNS

EXPECTED = "expected"

LOWEST_VDN, HIGHEST_VDN = VDNS[0], VDNS[-1]
_VDN_RANGE = r"^[0-9]{1,4}-[0-9]{1,4}$"
_VDN_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": LOWEST_VDN, "maximum": HIGHEST_VDN},
        {"type": "string", "pattern": _VDN_RANGE},
    ]
}


# Also written into the schemas, so in what the regular expressions of Python, JavaScript and Go
# (Helm) share: the characters themselves, because each has other escapes for them.
_CONTROL = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"
_OUTER_BLANK = r"^\s|\s$"


@dataclass(frozen=True, slots=True)
class Expected:
    """Replaces pydantic's own errors about a value by what the value must be.

    Args:
        what: after "must be".
        schema: of the value, if its type does not say it.
    """

    what: str
    schema: CoreSchema | None = field(default=None, hash=False)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = self.schema or handler(source)
        return core_schema.no_info_wrap_validator_function(self._check, schema)

    def _check(self, value: object, inner: ValidatorFunctionWrapHandler) -> object:
        try:
            return inner(value)
        except ValidationError:
            raise _expected(self.what) from None


def whole(low: int, high: int | None = None) -> Expected:
    """A whole number between two bounds, both included."""
    span = f"of {low} or more" if high is None else f"from {low} to {high}"
    number = core_schema.int_schema(ge=low, le=high, strict=True)
    return Expected(f"a whole number {span}", number)


def parse_vdns(item: object) -> range:
    """The VDNs of one number, or of one range with both of its ends.

    Raises ValueError with a sentence that does not repeat the value.
    """
    first, last = 0, 0
    if isinstance(item, int) and not isinstance(item, bool):
        first = last = item
    elif isinstance(item, str) and re.fullmatch(_VDN_RANGE, item, re.ASCII):
        first, last = map(int, item.split("-"))
        if first > last:
            raise ValueError(f"ranges are ascending: write {last}-{first}")
    if not LOWEST_VDN <= first <= last <= HIGHEST_VDN:
        raise ValueError(
            f"must be a whole number from {LOWEST_VDN} to {HIGHEST_VDN}, a range such as 1-40,"
            " or a list of these"
        )
    return range(first, last + 1)


def written_vdns(numbers: Iterable[int]) -> list[str]:
    """Numbers and ranges, such as `1-4` and `7`, of ascending VDNs."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]


def _expected(what: str) -> PydanticCustomError:
    return PydanticCustomError(EXPECTED, "must be {what}", {"what": what})


def _sentence(what: str) -> PydanticCustomError:
    return PydanticCustomError("sentence", "{what}", {"what": what})


def _secret(value: object) -> Secret:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return Secret(value)


def is_one_line(text: str) -> bool:
    """Whether a text has neither line breaks nor other control characters."""
    # what is printable has none; asked first, because a file may have 10,000 names and labels
    return text.isprintable() or re.search(_CONTROL, text) is None


def _line(value: str) -> str:
    if not is_one_line(value):
        raise _sentence("must not contain line breaks or control characters")
    return value


def _name(value: str) -> str:
    if value != value.strip():
        raise _sentence("must not begin or end with spaces, tabs or line breaks")
    return value


def _vdn_item(value: object) -> range:
    try:
        return parse_vdns(value)
    except ValueError as error:
        raise _sentence(str(error)) from None


def _duration(value: object) -> float:
    if not isinstance(value, str):
        raise _expected("a duration such as 30s or 1m30s")
    try:
        return durations.parse_duration(value)
    except ValueError as error:
        raise _sentence(str(error)) from None


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _version(value: object) -> object:
    return str(value) if isinstance(value, float) else value


Text = Annotated[str, Field(min_length=1)]
Line = Annotated[
    Text,
    AfterValidator(_line),
    WithJsonSchema({"type": "string", "minLength": 1, "not": {"pattern": _CONTROL}}),
]
"""What a label's value may be: it is shown in lines, of pages, logs and terminals."""
Name = Annotated[
    Text,
    AfterValidator(_name),
    AfterValidator(_line),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "not": {"pattern": f"{_CONTROL}|{_OUTER_BLANK}"}}
    ),
]
"""A line that people type again, to choose a server by it."""
SecretText = Annotated[
    Secret, PlainValidator(_secret), WithJsonSchema({"type": "string", "minLength": 1})
]
Duration = Annotated[
    float,
    PlainValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": durations.PATTERN}),
]
Vdns = Annotated[
    list[Annotated[range, PlainValidator(_vdn_item), WithJsonSchema(_VDN_SCHEMA)]],
    Field(min_length=1),
    BeforeValidator(_listed),
    WithJsonSchema(
        {"anyOf": [*_VDN_SCHEMA["anyOf"], {"type": "array", "items": _VDN_SCHEMA, "minItems": 1}]}
    ),
]
# YAML reads an unquoted 3.8 as a number.
as_version = BeforeValidator(_version)
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False), Expected("a number above 0")]
