"""`simulate`: the stand-in CC-CMS by itself."""

import argparse
import errno
import math
import os
import ssl
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from exporter.cli import loop
from exporter.cli.flags import Command, Flag, UsageError
from exporter.service.daemon import stop_on_signals
from exporter.simulator import (
    ALLOWED_DRIFT,
    DEFAULT_SEED,
    DESCRIPTIONS,
    Accelerated,
    Scenario,
    Settings,
    SimulatedFloors,
    Simulator,
    parse_scenario,
    serving,
)
from exporter.web.listening.listener import Address, ListenError

ACCESS_KEY: Final = "AKEXAMPLE0001"
SECRET_KEY: Final = "not-a-real-secret"  # noqa: S105  # it opens nothing but the simulator


def speed(text: str) -> float:
    """How many simulated seconds pass in a real one. Raises ValueError with a sentence."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{text!r} is no number above 0")
    return value


def whole_number(text: str) -> int:
    """A whole number. Raises ValueError with a sentence."""
    if not text.removeprefix("-").isdecimal():
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


SCENARIO: Final = Flag(
    "scenario",
    f"fail on purpose, as FAULT[=DURATION][@ccId/vdn]; FAULT is one of {', '.join(DESCRIPTIONS)}",
    metavar="SCENARIO",
    parse=parse_scenario,
    repeatable=True,
)
SEED: Final = Flag(
    "seed",
    "another seed gives other agents and other days",
    str(DEFAULT_SEED),
    metavar="NUMBER",
    parse=whole_number,
)
SPEED: Final = Flag("speed", "simulated seconds in a real one", "1", metavar="NUMBER", parse=speed)
_FLAGS: Final = (
    Flag(
        "listen-address",
        "where to listen",
        "127.0.0.1:28443",
        metavar="ADDRESS",
        parse=Address.parse,
    ),
    SCENARIO,
    SEED,
    SPEED,
    Flag(
        "cti-version",
        "which release to stand in for: 3.6 answers in pages",
        "3.8",
        choices=("3.6", "3.8"),
    ),
    Flag("access-key", "whose signatures are checked; empty for nobody's", ACCESS_KEY),
    Flag("secret-key", "what signatures are checked with", SECRET_KEY),
    Flag("tls.cert-file", "serve HTTPS with this certificate (PEM)", metavar="FILE", parse=Path),
    Flag(
        "tls.key-file", "its private key, if it stands in another file", metavar="FILE", parse=Path
    ),
)


def simulator(
    *,
    scenarios: Sequence[Scenario] = (),
    seed: int = DEFAULT_SEED,
    speed: float = 1.0,
    cti_version: str = "3.8",
    keys: dict[str, str] | None = None,
) -> Simulator:
    """A stand-in server with believable floors."""
    return Simulator(
        Settings(
            clock=Accelerated(time.time, speed),
            cti_version="3.6" if cti_version == "3.6" else "3.8",
            access_keys=keys if keys is not None else {ACCESS_KEY: SECRET_KEY},
            scenarios=tuple(scenarios),
            floors=SimulatedFloors(seed),
            # a fast clock runs away from its clients' by design
            allowed_drift=ALLOWED_DRIFT if speed == 1 else math.inf,
        )
    )


def run(arguments: argparse.Namespace) -> int:
    """Stand in for a CC-CMS until a signal says stop."""
    loop.run(_simulate(arguments))
    return 0


async def _simulate(arguments: argparse.Namespace) -> None:
    listen: Address = arguments.listen_address
    keys = {arguments.access_key: arguments.secret_key} if arguments.access_key else {}
    stand_in = simulator(
        scenarios=arguments.scenario,
        seed=arguments.seed,
        speed=arguments.speed,
        cti_version=arguments.cti_version,
        keys=keys,
    )
    context = _tls(arguments.tls_cert_file, arguments.tls_key_file)
    stop = stop_on_signals()
    async with AsyncExitStack() as stack:
        try:
            served = serving(stand_in, listen.host, listen.port, context)
            address = await stack.enter_async_context(served)
        except OSError as error:
            raise ListenError(
                f"cannot listen on {listen.host}:{listen.port}: "
                f"{os.strerror(error.errno or 0).lower()}: choose another --listen-address",
                in_use=error.errno == errno.EADDRINUSE,
            ) from None
        print(f"A simulated CC-CMS answers at {address.url}; Ctrl-C stops it.", flush=True)
        await stop.wait()


def _tls(cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext | None:
    if cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert_file, key_file, password="")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise UsageError(
            f"--tls.cert-file {cert_file}: no certificate with its key: {reason}"
        ) from None
    return context


COMMAND: Final = Command(
    "simulate", "stand in for a CC-CMS, with believable agents and faults on demand", run, _FLAGS
)
