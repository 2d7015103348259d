"""What `init` asks at a terminal. Secrets are typed without being shown."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import click

from exporter.cli.flags import refuse
from exporter.cli.init_answers import (
    Answers,
    SecretAnswer,
    from_file,
    parse_access_key,
    parse_ca_file,
    parse_numbers,
    tidy_url,
    typed,
)
from exporter.cli.target_flags import parse_cc_id
from exporter.config.credentials import SecretError
from exporter.endpoint import server_endpoint
from exporter.errors import Clue

T = TypeVar("T")

_KEYS, _HEADER, _NONE = "keys", "header", "none"
AGAIN: Final = "again"
WRITE: Final = "write"
QUIT: Final = "quit"


def ask(base: Path, known: Answers) -> Answers:
    """Ask for everything. What is known, by flags or earlier answers, is the default."""
    url, guess = _valid(
        "URL of the server, such as https://10.22.26.181:28443", tidy_url, known.url or None
    )
    host = server_endpoint(url).host
    name = _valid("Name of the server, for the label cms", str.strip, known.name or host)
    access_key, secret = _authorization(name, base, known)
    cc_id = _valid("ID of the call center (ccId)", parse_cc_id, str(known.cc_id or 1))
    vdns = known.vdns.typed or None
    return Answers(
        url=url,
        guess_scheme=guess or (known.guess_scheme and known.url == url),
        name=name,
        access_key=access_key,
        secret=secret,
        cc_id=cc_id,
        vdns=_valid("VDNs, such as 1-40 or 1,5,9-12", parse_numbers, vdns),
        tls=known.tls,
    )


def ask_again(base: Path, answers: Answers, clue: Clue | None) -> Answers:
    """Ask for what would help; or, if nobody knows that, for everything.

    `clue` is that of the failure that these answers led to.
    """
    if clue is Clue.UNKNOWN_CA:
        file = _valid("File with that CA or certificate (PEM)", parse_ca_file)
        return replace(answers, tls=replace(answers.tls, ca_file=file))
    if clue is Clue.OTHER_NAME:
        name = _valid("Name in the certificate (tls.server_name)", str.strip)
        return replace(answers, tls=replace(answers.tls, server_name=name))
    return ask(base, answers)


def what_now() -> str:
    """What to do after a failure: AGAIN, WRITE or QUIT."""
    choice = click.Choice((AGAIN, WRITE, QUIT))
    question = "Answer again, write the file anyway, or quit"
    found: str = click.prompt(question, default=AGAIN, type=choice)
    return found


def ask_secret(key: str, name: str, base: Path) -> SecretAnswer:
    """A secret, for a new file; or the one in that file, if it is there.

    `key` is one of `auth`, without `_file`; `base` is the folder of the configuration.
    """
    path = _secret_file(key, name, base)
    if path.exists():
        click.echo(f"The {_spoken(key)} is taken from {path}, which exists.")
        try:
            return from_file(key, path, base)
        except SecretError as error:
            refuse(str(error))
    question = f"{_spoken(key).capitalize()} (not shown; it goes to {path})"
    return _valid(question, lambda text: typed(key, text, path, base), hidden=True)


def _authorization(name: str, base: Path, known: Answers) -> tuple[str, SecretAnswer | None]:
    kinds = click.Choice((_KEYS, _HEADER, _NONE))
    default = _KEYS
    if not known.access_key and known.url:
        default = _HEADER if known.secret else _NONE
    kind = click.prompt("How requests are authorized", default=default, type=kinds)
    if kind == _NONE:
        return "", None
    access_key = ""
    if kind == _KEYS:
        access_key = _valid("Access key", parse_access_key, known.access_key or None)
    key = "secret_key" if kind == _KEYS else "authorization"
    same = known.secret is not None and known.secret.key.startswith(key)
    if same and click.confirm(f"Keep the {_spoken(key)}", default=True):
        return access_key, known.secret
    return access_key, ask_secret(key, name, base)


def _valid(
    question: str, parse: Callable[[str], T], default: str | None = None, *, hidden: bool = False
) -> T:
    """An answer that can be used: the question comes again until there is one."""

    def value(text: str) -> T:
        try:
            return parse(text)
        except (ValueError, SecretError) as error:
            raise click.UsageError(str(error)) from None

    found: T = click.prompt(
        question, default=default, value_proc=value, hide_input=hidden, show_default=not hidden
    )
    return found


def _secret_file(key: str, name: str, base: Path) -> Path:
    end = "sk" if key == "secret_key" else "authorization"
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    return base / "secrets" / f"{plain.lstrip('.')}-{end}"


def _spoken(key: str) -> str:
    return "secret key" if key == "secret_key" else "Authorization header"
