"""`basic_auth_users`: names and bcrypt hashes, checked for what they are.

Knows what a hash looks like. A problem names its line and never the user: where a space is missing
after the colon, name and password are one word.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from exporter.config.problems import Problem
from exporter.config.yaml.document import Place
from exporter.secret import Secret
from exporter.webconfig.reading import Reading

# Version, cost from 4 to 31, salt and hash. Version 2 without a letter is long gone.
_BCRYPT: Final = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")


def password_hashes(users: Mapping[str, Any], place: Place, reading: Reading) -> dict[str, Secret]:
    """The hash of each user's password.

    Args:
        users: the mapping of the file.
        place: of the mapping.
        reading: takes the problems.
    """
    hashes = {}
    for name, value in users.items():
        if ":" in name:
            _say(
                reading,
                place / name,
                'a user\'s name must hold no ":"; write a space after the one that ends it',
            )
        elif not isinstance(value, str) or not _BCRYPT.fullmatch(value):
            _say(
                reading,
                place / name,
                "must be a bcrypt hash such as `htpasswd -nBC 10 NAME` makes, not a password",
            )
        else:
            hashes[name] = Secret(value)
    return hashes


def _say(reading: Reading, place: Place, message: str) -> None:
    problem = place.problem(message)
    reading.problems.append(
        Problem(problem.file, problem.line, problem.column, "basic_auth_users", message)
    )
