"""What is wrong with a configuration, as one line for each problem.

No value of a file is ever part of a problem, so that none can show a secret.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.config.files import Seen

#: From the top of a document to one of its values: keys of mappings, indices of lists.
Steps = tuple[str | int, ...]

# Whatever is below these keys is part of a secret, even if it is written wrongly.
_SECRET_KEYS = frozenset({"access_key", "secret_key", "authorization", "proxy_url"})


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to fix, and where.

    Args:
        file: as the user would name it.
        line: from 1.
        column: from 1, in characters.
        path: of the value, such as `cms[0].targets[2].vdn`; empty for the file as a whole.
        message: what is wrong and what to do; one line, without a secret.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        return place + (f"{self.path}: " if self.path else "") + self.message


class ConfigError(Exception):
    """A configuration that cannot be used: all of its problems, in the order of file and line.

    Args:
        problems: all of them.
        seen: the files that were read: a change there is worth another try.
    """

    def __init__(self, problems: Iterable[Problem], seen: Seen | None = None) -> None:
        self.seen = seen or Seen()
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(steps: Steps) -> str:
    """A path as people write it: `cms[0].labels.site`. It ends where a secret's value starts."""
    path = ""
    for index, step in enumerate(steps):
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.replace("-", "_").isidentifier():
            path += f".{step}" if path else step
        else:
            path += f"[{json.dumps(step, ensure_ascii=not step.isprintable())}]"
        if step in _SECRET_KEYS or steps[index - 1 : index] == ("headers",):
            break
    return path


def one_line(text: str) -> str:
    """A text with line breaks and other invisible characters escaped, as in a file's name."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def closest(word: str, words: Iterable[str]) -> str | None:
    """Which of the words was meant, if one is close. Case counts little."""
    known = {known.lower(): known for known in words}
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return known[close[0]] if close else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`; did you mean "…"?` if one of the words is close, else nothing."""
    meant = closest(word, words)
    return f'; did you mean "{meant}"?' if meant else ""


def listed(words: Iterable[str], last: str = "or") -> str:
    """`a, b or c`: two or more words in a sentence."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}"
