"""`simulate`: a simulated CC-CMS by itself."""

import errno
import math
import os
import ssl
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import click

from exporter.cli import loop
from exporter.cli.commands import ACCESS_KEY, SECRET_KEY
from exporter.cli.signals import Signals
from exporter.cli.terminal import console
from exporter.simulator import (
    ALLOWED_DRIFT,
    DEFAULT_SEED,
    Accelerated,
    Scenario,
    Settings,
    SimulatedFloors,
    Simulator,
    serving,
)
from exporter.web.listening.addresses import Address, ListenError


def parse_speed(text: str) -> float:
    """Simulated seconds per second. Raises ValueError with a sentence."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{text!r} is not a number above 0")
    return value


def whole_number(text: str) -> int:
    """A whole number. Raises ValueError with a sentence."""
    if not text.removeprefix("-").isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


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


def run(  # noqa: PLR0913  # a flag each
    signals: Signals,
    *,
    listen_address: Address,
    cti_version: str,
    access_key: str,
    secret_key: str,
    tls_cert_file: str | None,
    tls_key_file: str | None,
    scenario: Sequence[Scenario],
    seed: int,
    speed: float,
) -> int:
    """Simulate a CC-CMS until a signal stops it."""
    simulated = simulator(
        scenarios=scenario,
        seed=seed,
        speed=speed,
        cti_version=cti_version,
        keys={access_key: secret_key} if access_key else {},
    )
    context = _tls(tls_cert_file, tls_key_file)
    loop.run(_simulate(simulated, listen_address, context, signals))
    return 0


async def _simulate(
    simulated: Simulator, listen: Address, context: ssl.SSLContext | None, signals: Signals
) -> None:
    stop = loop.stop_event(signals)
    async with AsyncExitStack() as stack:
        try:
            served = serving(simulated, listen.host, listen.port, context)
            address = await stack.enter_async_context(served)
        except OSError as error:
            raise ListenError(
                f"cannot listen on {listen.host}:{listen.port}: "
                f"{os.strerror(error.errno or 0).lower()}: choose another --listen-address",
                in_use=error.errno == errno.EADDRINUSE,
            ) from None
        console(sys.stdout).print(
            f"A simulated CC-CMS answers at {address.url}; Ctrl-C stops it.", style="bold"
        )
        sys.stdout.flush()
        await stop.wait()


def _tls(cert_file: str | None, key_file: str | None) -> ssl.SSLContext | None:
    if cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert_file, key_file, password="")
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror
        problem = f"--tls.cert-file: {cert_file} has no certificate with its private key: {reason}"
        raise click.UsageError(problem, click.get_current_context()) from None
    return context
