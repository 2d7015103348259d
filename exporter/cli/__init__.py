"""The command `agent-rest-exporter`: which command does what, and how each of them ends.

Exit status: 0 fine, 1 a failure at run time, 2 usage or configuration. Errors go to stderr, one
line each, without a traceback.
"""

import os
import sys
from collections.abc import Sequence

from exporter import __version__
from exporter.cli import check, completion, demo, healthcheck, query, serve, simulate
from exporter.cli.flags import UsageError
from exporter.cli.parser import build
from exporter.config import ConfigError
from exporter.errors import internal_error
from exporter.polling.build import BuildError
from exporter.web.app import TelemetryPathError
from exporter.web.listening.listener import ListenError

PROGRAM = "agent-rest-exporter"
DESCRIPTION = "Prometheus exporter for agents' rests in Huawei AICC/CEC call centers."
_WORKING = (
    serve.COMMAND,
    check.COMMAND,
    query.COMMAND,
    simulate.COMMAND,
    demo.COMMAND,
    healthcheck.COMMAND,
)
COMMANDS = (*_WORKING, completion.command(PROGRAM, _WORKING))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status.

    Args:
        arguments: of the command line; by default this process's own.
    """
    parser = build(PROGRAM, DESCRIPTION, COMMANDS, os.environ)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    namespace = parser.parse_args(arguments)
    try:
        return int(namespace.run(namespace))
    except (ConfigError, BuildError, TelemetryPathError, UsageError) as error:
        return _fail(str(error), 2)
    except ListenError as error:
        return _fail(str(error), 1 if error.in_use else 2)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # whatever it is: a line, and no message that quotes a reply
        return _fail(internal_error(error), 1)


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status
