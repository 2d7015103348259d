"""The configuration that `simulate --print-config` prints. Pure."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from exporter.cli.commands import ACCESS_KEY, SECRET_KEY
from exporter.cli.flags import ENVIRONMENT_PREFIX
from exporter.config.draft import Entry, written
from exporter.config.fields import written_vdns
from exporter.server import PAGE_SIZE
from exporter.simulator.replay import Recordings
from exporter.simulator.scenarios import Fault, Scenario
from exporter.web.listening.addresses import Address

_TARGETS: Final = tuple((1, vdn) for vdn in range(1, 5))
_HEAD: Final = (
    "For the simulated CC-CMS, printed by `agent-rest-exporter simulate --print-config`: run "
    "`simulate` with the same options, and `serve` with this file."
)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The flags that a configuration must agree with."""

    listen: Address
    cti_version: str
    access_key: str
    secret_key: str
    ca_file: Path | None
    own_certificate: bool
    scenarios: Sequence[Scenario]
    recordings: Recordings | None


def configuration(found: Rehearsal) -> str:
    """A configuration with which the exporter polls that simulator.

    Its limits are such that the scenarios make the alert rules fire.
    """
    replay = found.recordings
    legacy = replay.legacy if replay else any(_is_legacy_only(each) for each in found.scenarios)
    targets = replay.targets if replay else _targets(found.scenarios)
    paged = replay.page_size if replay else (PAGE_SIZE if found.cti_version == "3.6" else None)
    entries = [
        Entry("name", "simulator"),
        Entry("url", _url(found)),
        *_auth(found),
        *_tls(found),
        *([Entry("api", "agentrestinfo")] if legacy else []),
        *([Entry("cti_version", "3.6")] if paged and not legacy else []),
        *([Entry("page_size", paged)] if paged and paged != PAGE_SIZE and not legacy else []),
        Entry("interval", "10s", "Shorter than for a real server, so that changes show soon."),
        Entry("max_resting", 10, "Limits for the alert rules."),
        Entry("max_rest", "45m"),
        Entry("max_wait", "15m"),
        Entry("targets", [*_grouped(targets)]),
    ]
    return written([_HEAD], entries)


def hosts(listen: Address) -> tuple[str, ...]:
    """What a certificate of the simulator must be for."""
    own = () if listen.is_every else (listen.host,)
    return (*own, "127.0.0.1", "::1", "localhost")


def _url(found: Rehearsal) -> str:
    tls = found.ca_file is not None or found.own_certificate
    return f"{'https' if tls else 'http'}://{found.listen.reached_at}"


def _auth(found: Rehearsal) -> Iterator[Entry]:
    if not found.access_key:
        return
    own = (found.access_key, found.secret_key) != (ACCESS_KEY, SECRET_KEY)
    access, secret = (
        f"${{{ENVIRONMENT_PREFIX}ACCESS_KEY}}",
        f"${{{ENVIRONMENT_PREFIX}SECRET_KEY}}",
    )
    comment = "The keys that the simulator was given; they are not repeated here." if own else ""
    yield Entry(
        "auth",
        (
            Entry("access_key", access if own else found.access_key),
            Entry("secret_key", secret if own else found.secret_key),
        ),
        comment,
    )


def _tls(found: Rehearsal) -> Iterator[Entry]:
    if found.ca_file is not None:
        path = os.path.abspath(found.ca_file)  # noqa: PTH100  # a link stays a link
        yield Entry("tls", (Entry("ca_file", path, "Written when the simulator starts."),))
    elif found.own_certificate:
        comment = "Not for a real server: set ca_file to the CA of its certificate instead."
        yield Entry("tls", (Entry("insecure_skip_verify", value=True, comment=comment),))


def _is_legacy_only(scenario: Scenario) -> bool:
    return scenario.kind is Fault.LEGACY_ONLY and scenario.target is None


def _targets(scenarios: Sequence[Scenario]) -> tuple[tuple[int, int], ...]:
    """A handful, and those that have a scenario of their own."""
    return (*_TARGETS, *(each.target for each in scenarios if each.target))


def _grouped(targets: Sequence[tuple[int, int]]) -> Iterator[str]:
    """An entry for each run of VDNs of a call center."""
    for cc_id, group in groupby(sorted(set(targets)), itemgetter(0)):
        for vdns in written_vdns(vdn for _, vdn in group):
            yield f"{{ccId: {cc_id}, vdn: {vdns}}}"
