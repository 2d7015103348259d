"""`simulate`: a simulated CC-CMS by itself; or a list of its scenarios, a configuration for it."""

import math
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from exporter.cli.commands import ACCESS_KEY, SECRET_KEY
from exporter.cli.flags import ENVIRONMENT_PREFIX, is_given, refuse
from exporter.cli.make_ca import CertificateError, make_ca
from exporter.cli.output import WriteError, console, print_lines, say, table_lines
from exporter.cli.signals import Signals, run_loop, stop_event
from exporter.config import draft
from exporter.config.draft import Entry
from exporter.config.fields import written_vdns
from exporter.config.files import UnreadableError, read_file
from exporter.server import PAGE_SIZE
from exporter.service import logs
from exporter.service.logs import LogFormat
from exporter.simulator.floors import DEFAULT_SEED, SimulatedFloors
from exporter.simulator.replay import Recordings
from exporter.simulator.scenarios import GROUPS, KINDS, Fault, Scenario, written
from exporter.simulator.signature_check import ALLOWED_DRIFT
from exporter.simulator.stand_in import Seen, Settings, Simulator, accelerated, serving
from exporter.web.listening.addresses import Address, bind_tcp

_FASTEST: Final = 3600
"""Simulated seconds per second. Dates end with the year 9999: at this speed in two years."""
_TARGETS: Final = ((1, 1), (1, 2), (1, 3), (1, 4))
"""A handful, for a configuration."""
_HEAD: Final = (
    "For the simulated CC-CMS, printed by `agent-rest-exporter simulate --print-config`: run "
    "`simulate` with the same options, and `serve` with this file."
)


def parse_speed(text: str) -> float:
    """Simulated seconds per second. Raises ValueError with a sentence."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _FASTEST:
        raise ValueError(f"{text!r} is not a number above 0, and at most {_FASTEST}")
    return value


def whole_number(text: str) -> int:
    """A whole number. Raises ValueError with a sentence."""
    if not text.removeprefix("-").isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def simulator(  # noqa: PLR0913  # by name
    *,
    scenarios: Sequence[Scenario] = (),
    seed: int = DEFAULT_SEED,
    speed: float = 1.0,
    cti_version: str = "3.8",
    keys: dict[str, str] | None = None,
    recordings: Recordings | None = None,
    on_answer: Callable[[Seen], None] = lambda _: None,
) -> Simulator:
    """A stand-in server with believable floors."""
    return Simulator(
        Settings(
            clock=accelerated(time.time, speed),
            cti_version="3.6" if cti_version == "3.6" else "3.8",
            access_keys=keys if keys is not None else {ACCESS_KEY: SECRET_KEY},
            scenarios=tuple(scenarios),
            floors=SimulatedFloors(seed, scenarios=scenarios),
            # a fast clock runs away from its clients' by design
            allowed_drift=ALLOWED_DRIFT if speed == 1 else math.inf,
            recordings=recordings,
            on_answer=on_answer,
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
    tls_make_ca: str | None,
    tls_days: int,
    scenario: Sequence[Scenario],
    replay: Sequence[str],
    seed: int,
    speed: float,
    request_log: str | None,
    list: bool,  # noqa: A002  # the flag's name
    print_config: bool,
) -> int:
    """Simulate a CC-CMS until a signal stops it."""
    if list:
        _show_list()
        return 0
    if tls_make_ca and tls_cert_file:
        refuse("--tls.make-ca and --tls.cert-file are both given: use one of them")
    if tls_key_file and not tls_cert_file:
        refuse("--tls.key-file requires --tls.cert-file")
    if is_given("tls_days") and not tls_make_ca:
        refuse("--tls.days requires --tls.make-ca")
    recordings = _recordings(replay)
    if print_config:
        if not listen_address.port:
            refuse("--print-config: the configuration needs a port: set --listen-address")
        scheme = "https" if tls_make_ca or tls_cert_file else "http"
        server = [
            Entry("name", "simulator"),
            Entry("url", f"{scheme}://{listen_address.reached_at}"),
            *_auth_entry(access_key, secret_key),
            *_tls_entry(tls_make_ca, tls_cert_file),
            *_answer_entries(cti_version, scenario, recordings),
        ]
        print(draft.written([_HEAD], server), end="")
        return 0
    with _logging(request_log) as on_answer:
        simulated = simulator(
            scenarios=scenario,
            seed=seed,
            speed=speed,
            cti_version=cti_version,
            keys={access_key: secret_key} if access_key else {},
            recordings=recordings,
            on_answer=on_answer,
        )
        context = (
            _made(Path(tls_make_ca), listen_address, tls_days)
            if tls_make_ca
            else _tls(tls_cert_file, tls_key_file)
        )
        # what aiohttp has to say about requests that are not valid HTTP, in a line
        logs.set_up("warning", LogFormat.LOGFMT, sys.stderr)
        run_loop(_simulate(simulated, listen_address, context, signals))
    return 0


async def _simulate(
    simulated: Simulator, listen: Address, context: ssl.SSLContext | None, signals: Signals
) -> None:
    stop = stop_event(signals)
    async with AsyncExitStack() as stack:
        sockets = [stack.enter_context(each) async for each in bind_tcp(listen, "--listen-address")]
        served = serving(simulated, listen.host, listen.port, context, sockets=sockets)
        address = await stack.enter_async_context(served)
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
        refuse(problem)
    return context


def _made(ca_file: Path, listen: Address, days: int) -> ssl.SSLContext:
    try:
        return make_ca(ca_file, hosts(listen), days)
    except (CertificateError, WriteError) as error:
        refuse(f"--tls.make-ca: {error}")


def hosts(listen: Address) -> tuple[str, ...]:
    """What a certificate of the simulator must be for."""
    own = () if listen.is_every else (listen.host,)
    return (*own, "127.0.0.1", "::1", "localhost")


def _recordings(files: Sequence[str]) -> Recordings | None:
    contents = {}
    for name in files:
        try:
            contents[name] = read_file(Path(name), once=True)
        except UnreadableError as error:
            refuse(f"--replay: {name} cannot be read: {error}")
    try:
        return Recordings(contents) if contents else None
    except ValueError as error:
        refuse(f"--replay: {error}")


@contextmanager
def _logging(file: str | None) -> Iterator[Callable[[Seen], None]]:
    """What writes a line for each request, to stderr if the file is called -."""
    if file in {None, "-"}:
        yield lambda seen: print(seen.line(), file=sys.stderr) if file else None
        return
    try:
        # without a buffer: a person may be watching, and what does not fit is not kept
        opened = Path(str(file)).open("ab", 0)  # noqa: SIM115  # closed below
    except OSError as error:
        refuse(f"--request-log: {file} cannot be written: {error.strerror}")
    complained = False

    def write(seen: Seen) -> None:
        nonlocal complained
        try:
            opened.write(f"{seen.line()}\n".encode())
        except OSError as error:
            if not complained:
                complained = True
                problem = f"{file} cannot be written: {error.strerror}: lines are missing from it"
                say(console(sys.stderr), f"--request-log: {problem}", "yellow")

    with opened:
        yield write


def _auth_entry(access_key: str, secret_key: str) -> Iterator[Entry]:
    if not access_key:
        return
    comment = ""
    if (access_key, secret_key) != (ACCESS_KEY, SECRET_KEY):
        comment = "The keys that the simulator was given; they are not repeated here."
        access_key = f"${{{ENVIRONMENT_PREFIX}ACCESS_KEY}}"
        secret_key = f"${{{ENVIRONMENT_PREFIX}SECRET_KEY}}"
    keys = (Entry("access_key", access_key), Entry("secret_key", secret_key))
    yield Entry("auth", keys, comment)


def _tls_entry(ca_file: str | None, cert_file: str | None) -> Iterator[Entry]:
    if ca_file:
        path = os.path.abspath(ca_file)  # noqa: PTH100  # a link stays a link
        yield Entry("tls", (Entry("ca_file", path, "Written when the simulator starts."),))
    elif cert_file:
        comment = "Not for a real server: set ca_file to the CA of its certificate instead."
        yield Entry("tls", (Entry("insecure_skip_verify", value=True, comment=comment),))


def _answer_entries(
    cti_version: str, scenarios: Sequence[Scenario], replay: Recordings | None
) -> Iterator[Entry]:
    """How the simulator answers, and for which targets, with limits that make alert rules fire."""
    if replay:
        legacy, paged, targets = replay.legacy, replay.page_size, replay.targets
    else:
        legacy = any(each.kind is Fault.LEGACY_ONLY and each.target is None for each in scenarios)
        paged = PAGE_SIZE if cti_version == "3.6" else None
        targets = (*_TARGETS, *(each.target for each in scenarios if each.target))
    if legacy:
        yield Entry("api", "agentrestinfo")
    elif paged:
        yield Entry("cti_version", "3.6")
        if paged != PAGE_SIZE:
            yield Entry("page_size", paged)
    yield Entry("interval", "10s", "Shorter than for a real server, so that changes show soon.")
    yield Entry("max_resting", 10, "Limits for the alert rules.")
    yield Entry("max_rest", "45m")
    yield Entry("max_wait", "15m")
    yield Entry(
        "targets",
        [
            f"{{ccId: {cc_id}, vdn: {vdns}}}"
            for cc_id, group in groupby(sorted(set(targets)), itemgetter(0))
            for vdns in written_vdns(vdn for _, vdn in group)
        ],
    )


def _show_list() -> None:
    out = console(sys.stdout)
    width = max(len(written(kind)) for kind in KINDS.values())
    for title, kinds in GROUPS.items():
        out.print(title, style="bold")
        rows = [(f"  {written(kind):{width}}", kind.description) for kind in kinds]
        print_lines(out, table_lines(out, rows))
        out.print()
    out.print(
        "Values are defaults. NAME@ccId/vdn applies to one VDN, such as hang@1/7.\n"
        "Scenarios can be combined: --scenario quiet --scenario slow=2s@1/3"
    )
