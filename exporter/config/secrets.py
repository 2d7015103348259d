"""Where a secret comes from, and what it must look like to be of use.

Knows values, files and environment variables. Knows nothing of YAML and of what a secret opens.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from exporter.config import files
from exporter.config.urls import check_proxy
from exporter.secret import Secret

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class SecretError(Exception):
    """A secret that cannot be had or used: a sentence without the secret."""


class Rule(Enum):
    """What a secret must look like."""

    ANYTHING = "anything"
    ACCESS_KEY = "access key"
    HEADER = "header"
    PROXY = "proxy"

    def check(self, text: str) -> None:
        """Whether a text can be used so.

        Raises:
            ValueError: with what it must be; without the text.
        """
        if not text:
            raise ValueError("must not be empty")
        _CHECKS[self](text)


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A secret that can be read, and read again, for files are rotated while the program runs.

    Args:
        rule: what it must look like each time.
        origin: the secret itself, or the absolute path of the file that holds it.
        name: how to name the origin in a sentence; empty for the configuration itself.
    """

    rule: Rule
    origin: Secret | Path
    name: str = ""

    def read(self) -> Secret:
        """The secret as it is now. A file is read anew, less one newline at its end.

        Raises:
            SecretError: with a sentence that names the file or variable, never the secret.
        """
        problem = ""
        try:
            text = _content(self.origin)
            self.rule.check(text)
            return Secret(text)
        except files.UnreadableError as error:
            problem = f"cannot be read: {error}"
        except ValueError as error:
            problem = str(error)
        # raised out here, so that no traceback leads to the text
        raise SecretError(f"{self.name} {problem}".strip())


def from_value(value: Secret, rule: Rule, environ: Mapping[str, str]) -> SecretSource:
    """The source for a value of the file: the value itself, or `${NAME}` from the environment.

    Raises:
        SecretError: if the variable is unset or empty, or if `${` is a part of the value only.
    """
    text = value.reveal()
    match = _VARIABLE.fullmatch(text)
    if match:
        name = match[1]
        if not environ.get(name):
            state = "empty" if name in environ else "not set"
            raise SecretError(f"the environment variable {name} is {state}")
        return SecretSource(rule, Secret(environ[name]), f"the environment variable {name}")
    if "${" in text:
        raise SecretError(
            "only a whole value can come from the environment: write ${NAME}, and nothing beside it"
        )
    return SecretSource(rule, value)


def _content(origin: Secret | Path) -> str:
    if isinstance(origin, Secret):
        return origin.reveal()
    text = files.decode(files.read(origin))
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _check_text(text: str) -> None:
    # Bytes of the environment that are not UTF-8 arrive as lone surrogates.
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must be UTF-8 text")


def _check_header(text: str) -> None:
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ValueError(
            "must be plain ASCII without line breaks, control characters or spaces at its ends"
        )


def _check_access_key(text: str) -> None:
    _check_header(text)
    if "/" in text or " " in text:
        raise ValueError('must hold no "/" and no space, for the Authorization header is split'
                         " at them")  # fmt: skip


_CHECKS: dict[Rule, Callable[[str], None]] = {
    Rule.ANYTHING: _check_text,
    Rule.ACCESS_KEY: _check_access_key,
    Rule.HEADER: _check_header,
    Rule.PROXY: check_proxy,
}
