"""The faults that the stand-in server can be told to have, and how people ask for them.

Pure: texts in, scenarios out. What a fault does on the wire is the business of misbehaviour and
paging.

Two failures of a poll have no fault here, since no server can produce them: a name that does not
resolve, and a connection that nobody accepts. A certificate that is not trusted is a matter of the
certificate that the server is started with.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType

CC_IDS = range(1, 65_536)
VDNS = range(1, 5_001)


class Fault(StrEnum):
    """What the server does wrong."""

    HANG = "hang"
    SLOW = "slow"
    DROP = "drop"
    CUT = "cut"
    UNAUTHORIZED = "unauthorized"
    CLOCK = "clock"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate-limited"
    UNAVAILABLE = "unavailable"
    ERROR = "error"
    REDIRECT = "redirect"
    API_ERROR = "api-error"
    GARBAGE = "garbage"
    HTML = "html"
    WRONG_SHAPE = "wrong-shape"
    OVERSIZED = "oversized"
    GZIP_BOMB = "gzip-bomb"
    IGNORE_OFFSET = "ignore-offset"
    ENDLESS = "endless"
    OVERLAP = "overlap"


DESCRIPTIONS: Mapping[Fault, str] = MappingProxyType(
    {
        Fault.HANG: "takes the request and never answers",
        Fault.SLOW: "answers after a while (slow=5s)",
        Fault.DROP: "closes the connection before any answer",
        Fault.CUT: "ends the body before the length that it announced",
        Fault.UNAUTHORIZED: "401, as for a wrong signature",
        Fault.CLOCK: "its clock is off, so that it refuses signatures (clock=20m, or clock=-20m)",
        Fault.FORBIDDEN: "403 from a gateway",
        Fault.RATE_LIMITED: "429 with Retry-After (rate-limited=30s)",
        Fault.UNAVAILABLE: "503 with Retry-After (unavailable=30s)",
        Fault.ERROR: "500 with an HTML page",
        Fault.REDIRECT: "302 to a login page",
        Fault.API_ERROR: "200 with a resultCode that is not 0100000",
        Fault.GARBAGE: "200 with bytes that are not JSON",
        Fault.HTML: "200 with a login page",
        Fault.WRONG_SHAPE: "JSON with a counter missing, negative, a text or null, by turns",
        Fault.OVERSIZED: "a body that never ends",
        Fault.GZIP_BOMB: "about 1 MB of gzip that expands to 1 GiB",
        Fault.IGNORE_OFFSET: "CTI 3.6 that answers every page with the first one",
        Fault.ENDLESS: "CTI 3.6 that always has one more full page",
        Fault.OVERLAP: "CTI 3.6 whose pages overlap",
    }
)

_DEFAULT_SECONDS: Mapping[Fault, float] = MappingProxyType(
    {Fault.SLOW: 5.0, Fault.CLOCK: 1200.0, Fault.RATE_LIMITED: 30.0, Fault.UNAVAILABLE: 30.0}
)
_BEYOND_A_SERVER: Mapping[str, str] = MappingProxyType(
    {
        "dns": "use a host name that does not resolve",
        "connect": "use a port on which nothing listens",
        "tls": "start the server with a certificate that the client does not trust",
    }
)
_UNITS = ((3600.0, "h"), (60.0, "m"), (1.0, "s"), (0.001, "ms"))
_DURATION = re.compile(r"(-?)" + "".join(rf"(?:(\d+){unit})?" for _, unit in _UNITS))
_TARGET = re.compile(r"([0-9]{1,5})/([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, and whom it meets.

    Args:
        fault: what goes wrong.
        target: (ccId, vdn) of the only target that meets it; None for every request.
        seconds: how slow the server is, how far its clock is ahead, or what Retry-After says;
            0 for faults without a duration.
    """

    fault: Fault
    target: tuple[int, int] | None = None
    seconds: float = 0.0


def parse_scenario(text: str) -> Scenario:
    """Reads `FAULT[=DURATION][@ccId/vdn]`, such as `hang`, `slow=3s` or `api-error@1/7`.

    Raises:
        ValueError: one sentence that says what is wrong with the text and what to write instead.
    """
    rest, at, target = text.partition("@")
    name, equals, duration = rest.partition("=")
    fault = _fault(text, name)
    return Scenario(
        fault,
        _target(text, target) if at else None,
        _seconds(text, fault, duration) if equals else _DEFAULT_SECONDS.get(fault, 0.0),
    )


def scenario_for(scenarios: Iterable[Scenario], target: tuple[int, int] | None) -> Scenario | None:
    """The scenario that a request meets.

    A target's own one goes before one for every request; of several, the last given one counts.

    Args:
        scenarios: all of them, as given.
        target: (ccId, vdn) of the request; None if it could not be read.
    """
    chosen = None
    for scenario in scenarios:
        own = scenario.target is not None
        if (own and scenario.target == target) or (
            not own and (chosen is None or chosen.target is None)
        ):
            chosen = scenario
    return chosen


def _fault(text: str, name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        pass
    if name in _BEYOND_A_SERVER:
        raise ValueError(
            f"scenario {text!r}: no server can produce {name!r}; {_BEYOND_A_SERVER[name]}"
        )
    close = get_close_matches(name, list(Fault), n=1)
    remedy = f"did you mean '{close[0]}'?" if close else f"the faults are {', '.join(Fault)}"
    raise ValueError(f"scenario {text!r}: there is no fault {name!r}; {remedy}")


def _target(text: str, target: str) -> tuple[int, int]:
    form = _TARGET.fullmatch(target)
    if form is None:
        raise ValueError(
            f"scenario {text!r}: {target!r} is no target; write @ccId/vdn, such as @1/7"
        )
    cc_id, vdn = int(form[1]), int(form[2])
    if cc_id not in CC_IDS:
        raise ValueError(f"scenario {text!r}: ccId must be from 1 to 65535, not {cc_id}")
    if vdn not in VDNS:
        raise ValueError(f"scenario {text!r}: vdn must be from 1 to 5000, not {vdn}")
    return cc_id, vdn


def _seconds(text: str, fault: Fault, duration: str) -> float:
    if fault not in _DEFAULT_SECONDS:
        raise ValueError(f"scenario {text!r}: {fault} takes no value; write {str(fault)!r}")
    form = _DURATION.fullmatch(duration)
    if form is None or not any(form.groups()[1:]):
        raise ValueError(
            f"scenario {text!r}: {duration!r} is no duration; write one such as 5s or 1m30s"
        )
    if form[1] and fault is not Fault.CLOCK:
        raise ValueError(f"scenario {text!r}: the duration of {fault} cannot be negative")
    seconds = sum(
        int(count or 0) * size for count, (size, _) in zip(form.groups()[1:], _UNITS, strict=True)
    )
    return -seconds if form[1] else seconds
