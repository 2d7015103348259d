"""`init`: detect the settings that a server needs, and write a configuration that works.

The file is written only if `check --live` passes with it, or with --write-anyway. No file is
overwritten. A typed secret is written to a separate file that only its owner can read.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from exporter.cli import check
from exporter.cli.flags import refuse
from exporter.cli.init_answers import (
    Answers,
    SecretAnswer,
    ask,
    ask_again,
    ask_secret,
    flag_value,
    parse_access_key,
    relative,
    secret_flag,
    tidy_url,
    tls_flags,
)
from exporter.cli.output import WriteError, console, say, whole_file
from exporter.cli.signals import Signals, run_until_stopped
from exporter.clock import system_clock
from exporter.cms.client import Inspection
from exporter.config.draft import Entry, Scalar, written
from exporter.config.fields import written_vdns
from exporter.config.shard import Shard
from exporter.errors import PollError, PollResult, Reason
from exporter.inspection.survey import Found, Survey, Vdn, explain_refusal
from exporter.polling import build
from exporter.polling.build import BuildError
from exporter.server import Api, Server, Signature

_INTERRUPTED: Final = 130
_USAGE: Final = 2
"""The highest status of a command that has come to its own end."""
_HEAD: Final = (
    "Written by `agent-rest-exporter init`: the comments say what it found. All keys are explained "
    "in config.example.yaml. `agent-rest-exporter check` validates this file, and with --live it "
    "polls the server."
)
_UNKNOWN: Final = (
    "The server could not be polled when this was written, so api, cti_version and begin_time_unit "
    "are the defaults: correct this file until `agent-rest-exporter check --live` passes."
)
_LATER: Final = (
    Entry(
        "max_resting",
        20,
        "Limits for the alert rules: how many agents of a VDN may rest, and how long a rest "
        "and the wait for one may last.",
        active=False,
    ),
    Entry("max_rest", "45m", active=False),
    Entry("max_wait", "15m", active=False),
)


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
    vdn: tuple[int, ...] | None,
) -> int:
    """Write a configuration. 0 if that was done, 1 if the server cannot be polled, 2 for usage."""
    file = Path(config_file)
    _check_place(file)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    secret_flags = {
        "--secret-key-file": secret_key_file,
        "--secret-key-variable": secret_key_variable,
        "--authorization-file": authorization_file,
        "--authorization-variable": authorization_variable,
    }
    try:
        plain, guess = flag_value("--url", tidy_url, url) if url is not None else ("", False)
        answers = Answers(
            url=plain,
            guess_scheme=guess,
            name=(name or "").strip(),
            access_key=flag_value("--access-key", parse_access_key, access_key or ""),
            secret=secret_flag(secret_flags, access_key or "", file.parent, terminal=terminal),
            cc_id=cc_id or 0,
            vdns=vdn or (),
            tls=tls_flags(
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
            question = "Answer again, write the file anyway, or quit"
            choices = click.Choice(("again", "write", "quit"))
            choice = click.prompt(question, default="again", type=choices)
            if choice == "quit":
                say(self._err, "nothing was written")
                return 1
            if choice == "again":
                # the scheme may have been found out
                answers = replace(answers, url=found.server.url)
                clue = found.error.clue if found.error else None
                answers = ask_again(self._file.parent, answers, clue)
            else:
                self._anyway = True

    def _find(self, answers: Answers) -> Found:
        server = answers.server
        vdns = [(answers.cc_id, number) for number in answers.vdns]
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
    async with aclosing(client):
        return await client.inspect(*vdn)


def _check_place(file: Path) -> None:
    if os.path.lexists(file):
        refuse(f"{file} exists, and is not overwritten: choose another name")
    if not file.parent.is_dir():
        refuse(f"{file} cannot be written: {file.parent} is not a directory")


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


def configuration(answers: Answers, found: Found, base: Path) -> str:
    """The text of the file, which is to be in the folder `base`."""
    server, reasons = found.server, found.reasons
    legacy = server.api is Api.AGENT_REST_INFO
    version = "3.8" if server.page_size is None else "3.6"
    entries: list[Entry] = [
        Entry("name", server.name),
        Entry("url", server.url, _sentence(reasons, "url")),
        *_auth_entry(answers, server, reasons),
        *_tls_entry(server, reasons, base),
    ]
    if server.host:
        entries.append(Entry("host_header", server.host, _sentence(reasons, "host_header")))
    entries.append(Entry("api", server.api.value, _sentence(reasons, "api")))
    if not legacy:
        entries.append(Entry("cti_version", version, _sentence(reasons, "cti_version")))
    unit = server.begin_time_unit.value
    numbers = written_vdns(answers.vdns)
    vdns = numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"
    entries += [
        Entry("begin_time_unit", unit, _sentence(reasons, "begin_time_unit")),
        Entry("interval", "30s", "How often each VDN is polled."),
        *_LATER,
        Entry("targets", [f"{{ccId: {answers.cc_id}, vdn: {vdns}}}"]),
    ]
    return written([_HEAD, *([_UNKNOWN] if found.error else [])], entries)


def _sentence(reasons: dict[str, str], option: str) -> str:
    reason = reasons.get(option, "")
    return f"{reason[:1].upper()}{reason[1:]}." if reason else ""


def _auth_entry(answers: Answers, server: Server, reasons: dict[str, str]) -> Sequence[Entry]:
    secret = answers.secret
    if secret is None:
        return ()
    entries = [Entry(secret.key, secret.written)]
    if answers.access_key:
        entries.insert(0, Entry("access_key", answers.access_key))
    if isinstance(server.auth, Signature) and server.auth.empty_query_line:
        comment = _sentence(reasons, "empty_query_line")
        entries.append(Entry("empty_query_line", value=True, comment=comment))
    return (Entry("auth", tuple(entries)),)


def _tls_entry(server: Server, reasons: dict[str, str], base: Path) -> Sequence[Entry]:
    tls = server.tls
    paths = {"ca_file": tls.ca_file, "cert_file": tls.cert_file, "key_file": tls.key_file}
    values: dict[str, Scalar | None] = {
        **{key: None if path is None else relative(path, base) for key, path in paths.items()},
        "server_name": tls.server_name,
        "min_version": tls.min_version,
        "ciphers": tls.ciphers,
    }
    entries = [Entry(key, value) for key, value in values.items() if value is not None]
    if not entries or not server.endpoint.tls:
        return ()
    return (Entry("tls", tuple(entries), _sentence(reasons, "tls")),)
