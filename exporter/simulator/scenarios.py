"""The faults that the simulator can be told to have, and how `--scenario` names them.

Pure: text in, scenarios out. `faults` has what they do on the wire.

Three failures of a poll have no fault here: no server can produce a name that does not resolve or a
refused connection, and a certificate that is not trusted depends on how the server is started.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from typing import Self

CC_IDS = range(1, 65_536)
VDNS = range(1, 5_001)


class Fault(StrEnum):
    """What the server does wrong: name, description, and the default of its value if it has one.

    The value is a duration in seconds, or a result code of the vendor's.
    """

    HANG = "hang", "accepts the request and never answers"
    SLOW = "slow", "answers after a delay (slow=5s)", 5.0
    DROP = "drop", "closes the connection without an answer"
    CUT = "cut", "sends a shorter body than Content-Length announces"
    UNAUTHORIZED = "unauthorized", "401, as for a wrong signature"
    CLOCK = (
        "clock",
        "has a wrong clock, and so refuses signatures (clock=20m or clock=-20m)",
        1200.0,
    )
    FORBIDDEN = "forbidden", "403 from a gateway"
    RATE_LIMITED = "rate-limited", "429 with Retry-After (rate-limited=30s)", 30.0
    UNAVAILABLE = "unavailable", "503 with Retry-After (unavailable=30s)", 30.0
    ERROR = "error", "500 with an HTML page"
    REDIRECT = "redirect", "302 to a login page"
    API_ERROR = (
        "api-error",
        "200 with a result code of failure (api-error=0100003)",
        0.0,
        "0100001",
    )
    UNKNOWN_VDN = "unknown-vdn", "200 with result code 0100002, as for a VDN that does not exist"
    LEGACY_ONLY = "legacy-only", "404 but for the interface of 8.13 and earlier"
    CROWDED = "crowded", "250 agents rest, and CTI 3.6 lists 100 of them unless asked in pages"
    ZEROS = "zeros", "rows with 0 in every field but the agent's name and ID"
    SECONDS = "seconds", "beginTime in seconds, not milliseconds"
    GARBAGE = "garbage", "200 with a body that is not valid JSON"
    HTML = "html", "200 with a login page"
    WRONG_SHAPE = "wrong-shape", "JSON with a counter missing, negative, a string or null, in turn"
    OVERSIZED = "oversized", "a body that never ends"
    GZIP_BOMB = "gzip-bomb", "about 1 MB of gzip that expands to 1 GiB"
    IGNORE_OFFSET = "ignore-offset", "CTI 3.6 that answers every page with the first page"
    ENDLESS = "endless", "CTI 3.6 that always has another full page"
    OVERLAP = "overlap", "CTI 3.6 whose pages overlap"

    description: str
    seconds: float
    code: str

    def __new__(cls, name: str, description: str, seconds: float = 0.0, code: str = "") -> Self:
        """Makes a member whose value is its name."""
        fault = str.__new__(cls, name)
        fault._value_ = name
        fault.description, fault.seconds, fault.code = description, seconds, code
        return fault


DESCRIPTIONS: Mapping[Fault, str] = MappingProxyType({fault: fault.description for fault in Fault})

_NOT_SIMULATED: Mapping[str, str] = MappingProxyType(
    {
        "dns": "use a host name that does not resolve",
        "connect": "use a port that nothing listens on",
        "tls": "start it with a certificate that the client does not trust",
    }
)
_UNITS = ((3600.0, "h"), (60.0, "m"), (1.0, "s"), (0.001, "ms"))
_DURATION = re.compile(r"(-?)" + "".join(rf"(?:(\d+){unit})?" for _, unit in _UNITS))
_CODE = re.compile(r"[0-9]{7}")
_TARGET = re.compile(r"([0-9]{1,5})/([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, and the requests that it applies to.

    Args:
        fault: what goes wrong.
        target: (ccId, vdn) of the only target that it applies to; None for every request.
        seconds: how slow the server is, how far its clock is ahead, or the value of Retry-After;
            0 for faults without a duration.
        code: the result code of `API_ERROR`; empty for the others.
    """

    fault: Fault
    target: tuple[int, int] | None = None
    seconds: float = 0.0
    code: str = ""


def parse_scenario(text: str) -> Scenario:
    """Parses `FAULT[=VALUE][@ccId/vdn]`, such as `hang`, `slow=3s` or `api-error=0100003@1/7`.

    Raises:
        ValueError: one sentence says what is wrong with the text and what to write instead.
    """
    rest, at, target = text.partition("@")
    name, equals, value = rest.partition("=")
    fault = _fault(text, name)
    seconds, code = fault.seconds, fault.code
    if equals and code:
        code = _code(text, value)
    elif equals:
        seconds = _seconds(text, fault, value)
    return Scenario(fault, _target(text, target) if at else None, seconds, code)


def scenario_for(scenarios: Iterable[Scenario], target: tuple[int, int] | None) -> Scenario | None:
    """The scenario for a request.

    One for its target takes precedence over one for every request; of several, the last applies.
    `target` is None if the request could not be read.
    """
    by_target = {scenario.target: scenario for scenario in scenarios}
    return by_target.get(target) or by_target.get(None)


def _fault(text: str, name: str) -> Fault:
    for fault in Fault:
        if fault == name:
            return fault
    if name in _NOT_SIMULATED:
        raise ValueError(
            f"scenario {text!r}: the simulator cannot produce {name!r}; {_NOT_SIMULATED[name]}"
        )
    close = get_close_matches(name, list(Fault), n=1)
    remedy = f"did you mean '{close[0]}'?" if close else f"the faults are {', '.join(Fault)}"
    raise ValueError(f"scenario {text!r}: there is no fault {name!r}; {remedy}")


def _target(text: str, target: str) -> tuple[int, int]:
    form = _TARGET.fullmatch(target)
    if form is None:
        raise ValueError(
            f"scenario {text!r}: {target!r} is not a target; write @ccId/vdn, such as @1/7"
        )
    cc_id, vdn = int(form[1]), int(form[2])
    if cc_id not in CC_IDS:
        raise ValueError(f"scenario {text!r}: ccId must be from 1 to 65535, not {cc_id}")
    if vdn not in VDNS:
        raise ValueError(f"scenario {text!r}: vdn must be from 1 to 5000, not {vdn}")
    return cc_id, vdn


def _code(text: str, code: str) -> str:
    if _CODE.fullmatch(code) is None:
        raise ValueError(
            f"scenario {text!r}: {code!r} is not a result code; write one such as 0100003"
        )
    return code


def _seconds(text: str, fault: Fault, duration: str) -> float:
    if not fault.seconds:
        raise ValueError(f"scenario {text!r}: {fault} takes no value; write {str(fault)!r}")
    form = _DURATION.fullmatch(duration)
    if form is None or not any(form.groups()[1:]):
        raise ValueError(
            f"scenario {text!r}: {duration!r} is not a duration; write one such as 5s or 1m30s"
        )
    if form[1] and fault is not Fault.CLOCK:
        raise ValueError(f"scenario {text!r}: the duration of {fault} cannot be negative")
    seconds = sum(
        int(count or 0) * size for count, (size, _) in zip(form.groups()[1:], _UNITS, strict=True)
    )
    return -seconds if form[1] else seconds
