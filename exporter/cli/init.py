"""`init`: detect the settings that a server needs, and write a configuration that works.

The file is written only if `check --live` passes with it, or with --write-anyway. No file is
overwritten. A typed secret is written to a separate file that only its owner can read.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from exporter.cli import check
from exporter.cli.flags import refuse
from exporter.cli.init_answers import (
    Answers,
    SecretAnswer,
    Vdns,
    configuration,
    from_file,
    from_variable,
    parse_access_key,
    tidy_url,
)
from exporter.cli.init_questions import AGAIN, QUIT, ask, ask_again, ask_secret, what_now
from exporter.cli.output import WriteError, console, say, whole_file
from exporter.cli.signals import Signals, run_until_stopped
from exporter.clock import system_clock
from exporter.cms.client import Inspection
from exporter.cms.tls import TlsFileError, ssl_context
from exporter.config.credentials import SecretError
from exporter.config.files import UnreadableError, read_file
from exporter.config.shard import Shard
from exporter.errors import PollError, PollResult, Reason
from exporter.inspection.survey import Found, Survey, Vdn, explain_refusal
from exporter.polling import build
from exporter.polling.build import BuildError
from exporter.server import Server, Tls

_INTERRUPTED: Final = 130
_USAGE: Final = 2
"""The highest status of a command that has come to its own end."""


def run(  # noqa: PLR0913  # a flag each
    signals: Signals,
    *,
    config_file: str,
    write_anyway: bool,
    url: str | None,
    name: str | None,
    tls_ca_file: str | None,
    tls_server_name: str | None,
    tls_cert_file: str | None,
    tls_key_file: str | None,
    access_key: str | None,
    secret_key_file: str | None,
    secret_key_variable: str | None,
    authorization_file: str | None,
    authorization_variable: str | None,
    cc_id: int | None,
    vdn: Vdns | None,
) -> int:
    """Write a configuration. 0 if that was done, 1 if the server cannot be polled, 2 for usage."""
    file = Path(config_file)
    _check_place(file)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    secret_flags = {
        "secret_key_file": secret_key_file,
        "secret_key_variable": secret_key_variable,
        "authorization_file": authorization_file,
        "authorization_variable": authorization_variable,
    }
    try:
        plain, guess = _parsed(url) if url is not None else ("", False)
        answers = Answers(
            url=plain,
            guess_scheme=guess,
            name=(name or "").strip(),
            access_key=_access_key(access_key),
            secret=_secret(secret_flags, access_key, file.parent, terminal=terminal),
            cc_id=cc_id or 0,
            vdns=vdn or Vdns(),
            tls=_tls(
                {"ca_file": tls_ca_file, "cert_file": tls_cert_file, "key_file": tls_key_file},
                tls_server_name,
            ),
        )
        if missing := answers.missing:
            if not terminal:
                refuse(
                    f"{', '.join(missing)}: required, because there is no terminal to ask for them"
                )
            print(f"Asks a CC-CMS how it wants to be polled, and writes {file}. Ctrl-C ends it.")
            answers = ask(file.parent, answers)
        elif answers.access_key and answers.secret is None:
            secret = ask_secret("secret_key", answers.server.name, file.parent)
            answers = replace(answers, secret=secret)
        return _Init(signals, file, write_anyway=write_anyway, terminal=terminal).run(answers)
    except click.Abort:
        print(file=sys.stderr)
        return _INTERRUPTED


class _Init:
    """Repeats detection and writing until a file is written or the user quits."""

    def __init__(self, signals: Signals, file: Path, *, write_anyway: bool, terminal: bool) -> None:
        self._signals = signals
        self._file = file
        self._anyway = write_anyway
        self._terminal = terminal
        self._out, self._err = console(sys.stdout), console(sys.stderr)

    def run(self, answers: Answers) -> int:
        """Gives the exit status."""
        while True:
            found = self._find(answers)
            if found.error is None or self._anyway:
                status = self._write(answers, found)
                if status == 0 or status > _USAGE:
                    return status
            if not self._terminal:
                say(self._err, "nothing was written: fix the cause above, or use --write-anyway")
                return 1
            choice = what_now()
            if choice == QUIT:
                say(self._err, "nothing was written")
                return 1
            if choice == AGAIN:
                # the scheme may have been found out
                answers = replace(answers, url=found.server.url)
                clue = found.error.clue if found.error else None
                answers = ask_again(self._file.parent, answers, clue)
            else:
                self._anyway = True

    def _find(self, answers: Answers) -> Found:
        server = answers.server
        vdns = [(answers.cc_id, number) for number in answers.vdns.numbers]
        say(self._out, f"asking {server.url} …")
        sys.stdout.flush()
        survey = Survey(_poll, vdns, lambda sentence: say(self._out, f"  {sentence}"))
        try:
            found = run_until_stopped(
                survey.find(server, guess_scheme=answers.guess_scheme), self._signals
            )
        except BuildError as error:
            # a file or a proxy that cannot be used
            failure = PollError(Reason.TLS, str(error))
            say(self._err, failure.message, "red")
            now = system_clock()
            return Found(server, PollResult(now, now, None, failure), {})
        if found.error is not None and not self._anyway:
            cc_id, vdn = vdns[0]
            reason, message = found.error.reason.value, found.error.message
            place = f"{found.server.name}: ccId {cc_id}, vdn {vdn}"
            say(self._err, f"{place}: {reason}: {message}", "red")
            asking = explain_refusal(
                found.server, found.result, vdns[0], os.environ, system_clock, variants_tried=True
            )
            hint = run_until_stopped(asking, self._signals)
            if hint is not None:
                say(self._err, f"{found.server.name}: {hint}", "yellow")
        return found

    def _write(self, answers: Answers, found: Found) -> int:
        """Write the files, and keep them if `check --live` passes. Gives the exit status."""
        text = configuration(answers, found, self._file.parent)
        made: list[Path] = []
        keep = False
        try:
            _create(self._file, text, answers.secret, made)
            status = check.run(
                self._signals,
                config_file=str(self._file),
                live=True,
                cms=(),
                shard=Shard(0, 1),
                json=False,
            )
            keep = status == 0 or (self._anyway and status == 1)
        finally:
            if not keep:
                for path in reversed(made):
                    path.rmdir() if path.is_dir() else path.unlink()
        if not keep:
            return status
        for path in made:
            if path.is_file():
                say(self._out, f"written: {path}")
        if status == 0:
            say(self._out, f"start the exporter with: agent-rest-exporter serve {self._file}")
        return 0


async def _poll(server: Server, vdn: Vdn) -> Inspection:
    client = build.clients([server], os.environ, system_clock)[server.name]
    try:
        return await client.inspect(*vdn)
    finally:
        await client.aclose()


def _access_key(text: str | None) -> str:
    try:
        return parse_access_key(text or "")
    except ValueError as error:
        refuse(f"--access-key: {error}")


def _tls(files: Mapping[str, str | None], server_name: str | None) -> Tls:
    """What the flags say about TLS; files that cannot be used are refused."""
    if files["key_file"] and not files["cert_file"]:
        refuse("--tls.key-file requires --tls.cert-file")
    paths = {key: Path(file).absolute() for key, file in files.items() if file}
    for key, path in paths.items():
        try:
            read_file(path)
        except UnreadableError as error:
            refuse(f"{_tls_flag(key)}: {files[key]} cannot be read: {error}")
    tls = Tls(
        paths.get("ca_file"),
        paths.get("cert_file"),
        paths.get("key_file"),
        (server_name or "").strip() or None,
    )
    try:
        ssl_context(tls)
    except TlsFileError as error:
        refuse(f"{_tls_flag(error.option)}: {files[error.option]}: {error}")
    return tls


def _tls_flag(key: str) -> str:
    return f"--tls.{key.replace('_', '-')}"


def _check_place(file: Path) -> None:
    if os.path.lexists(file):
        refuse(f"{file} exists, and is not overwritten: choose another name")
    if not file.parent.is_dir():
        refuse(f"{file} cannot be written: {file.parent} is not a directory")


def _parsed(url: str) -> tuple[str, bool]:
    try:
        return tidy_url(url)
    except ValueError as error:
        refuse(f"--url: {error}")


def _secret(
    flags: Mapping[str, str | None], access_key: str | None, base: Path, *, terminal: bool
) -> SecretAnswer | None:
    """The secret that the flags name; None if init has to ask for it, or without a secret."""
    given = [flag for flag, value in flags.items() if value]
    if len(given) > 1:
        first, second = (f"--{flag.replace('_', '-')}" for flag in given[:2])
        refuse(f"{first} and {second} are both given: use one of them")
    if not given:
        if access_key and not terminal:
            refuse("--access-key: --secret-key-file or --secret-key-variable is required with it")
        return None
    (flag,) = given
    shown = f"--{flag.replace('_', '-')}"
    if flag.startswith("secret_key") != bool(access_key):
        refuse(
            f"{shown}: --access-key is required with it"
            if flag.startswith("secret_key")
            else f"{shown} cannot be combined with --access-key"
        )
    key, _, kind = flag.rpartition("_")
    value = str(flags[flag])
    try:
        return (
            from_variable(key, value) if kind == "variable" else from_file(key, Path(value), base)
        )
    except SecretError as error:
        refuse(f"{shown}: {error}")


def _create(file: Path, text: str, secret: SecretAnswer | None, made: list[Path]) -> None:
    """Create the files, and add each to those that were made."""
    try:
        if secret is not None and secret.new_file is not None:
            folder = secret.new_file.parent
            if not folder.exists():
                folder.mkdir(mode=0o700)
                made.append(folder)
            with whole_file(secret.new_file, 0o600) as write:
                write(f"{secret.source.loaded.reveal()}\n")
            made.append(secret.new_file)
        with whole_file(file) as write:
            write(text)
        made.append(file)
    except WriteError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename} cannot be written: {error.strerror}")
