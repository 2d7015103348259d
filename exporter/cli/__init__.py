"""The command `agent-rest-exporter`: how every command starts, and how each of them ends.

Exit status: 0 success, 1 failure at run time, 2 wrong usage or configuration; 130 or 143 if SIGINT
or SIGTERM ended it early; 0 if they ended a command that runs until then. Errors go to stderr, one
line each, without a traceback. Large modules are imported after the signal handlers are set, and
only by the commands that need them.
"""

import errno
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Final

from exporter.cli.signals import Signals, Stopped

_UNWRITTEN: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a write fails with if there is no room for it, or the device is broken."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status.

    Without `arguments` it takes this process's own.
    """
    with Signals() as signals:
        _open_standard_streams()
        try:
            status = _run(sys.argv[1:] if arguments is None else arguments, signals)
            sys.stdout.flush()
        except Stopped as stopped:
            # a reader that does not read must not hold up the end
            _discard_output(1, 2)
            return stopped.status
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            # the reader of stdout has gone, as `head` does
            _discard_output(1)
            return 1
        except Exception as error:  # noqa: BLE001  # whatever it is, it ends in a line
            return _fail(error)
        return status


def _open_standard_streams() -> None:
    """Open on /dev/null what is closed of stdin, stdout and stderr.

    Otherwise the next files that are opened get their numbers, and libuv aborts on those.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # for as long as the process


def _discard_output(*descriptors: int) -> None:
    """Leave out what is still to be written: the interpreter writes it when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _run(arguments: Sequence[str], signals: Signals) -> int:
    import click

    from exporter.cli import flags
    from exporter.cli.commands import COMPLETION_VARIABLE, PROGRAM, program

    if instruction := os.environ.get(COMPLETION_VARIABLE):
        from exporter.cli.completion import complete

        return complete(instruction)
    try:
        with program().make_context(PROGRAM, [*arguments], obj=signals) as context:
            return int(context.command.invoke(context))
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        _complain(flags.usage_error(error, PROGRAM))
        return 2


def _fail(error: Exception) -> int:
    """Say in a line why the command failed, and give its status."""
    from exporter.config.problems import ConfigError
    from exporter.errors import internal_error
    from exporter.polling.build import BuildError
    from exporter.web.app import TelemetryPathError
    from exporter.web.listening.addresses import ListenError

    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    message, status = str(error), 2
    if isinstance(error, ListenError):
        status = 1 if error.in_use else 2
    elif isinstance(error, OSError) and error.errno in _UNWRITTEN and error.filename is None:
        # whoever writes to a file says so: this is what a command prints
        message, status = f"cannot write to stdout: {error.strerror}", 1
        _discard_output(1)
    elif not isinstance(error, ConfigError | BuildError | TelemetryPathError):
        # its own message may quote a reply
        message, status = internal_error(error), 1
    _complain(message)
    return status


def _complain(message: str) -> None:
    """Print lines to stderr; those that are too long for a terminal are wrapped at words."""
    lines = message.split("\n")
    if sys.stderr.isatty():
        wrapper = textwrap.TextWrapper(
            max(shutil.get_terminal_size().columns, 20),
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines = [part for line in lines for part in wrapper.wrap(line)]
    try:
        print(*lines, sep="\n", file=sys.stderr)
    except OSError:
        # the exit status is all that is left to tell
        _discard_output(2)
