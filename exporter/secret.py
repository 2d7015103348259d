"""A text that cannot print itself.

Secrets travel through the program in this type alone, so that no log line, error, page or
traceback can show one by accident: showing one takes a call of `reveal()`, which is easy to find.
"""

import hmac
from typing import NoReturn


class Secret:
    """A secret text. `str`, `repr`, `format` and pickling never give it away."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: only for the place that sends it."""
        return self._text

    @property
    def loaded(self) -> "Secret":
        """Itself: a secret in the configuration is its own source."""
        return self

    def read(self) -> "Secret":
        """Itself, again."""
        return self

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._text.encode(), other._text.encode()
        )

    def __hash__(self) -> int:
        return hash(("exporter.secret", self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
