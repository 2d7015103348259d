"""What an unquoted YAML scalar means: YAML 1.2's core schema, less its traps.

Pure. YAML 1.1, which the parser would apply, reads `no` as false, `010` as 8 and `1:30` as 90.
Here a site called `no` keeps its name, and what could be read in two ways stays text.
"""

import re

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# No leading zeros, and no more digits than any key of ours could use.
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")

Scalar = str | int | float | bool | None


def resolve(text: str) -> Scalar:
    """The value of a scalar without quotes: nothing, true or false, a number, or its text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "+-.0123456789":
        if _WHOLE.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text)
    return text
