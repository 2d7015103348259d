"""What the simulator can play, on the floor or as a fault, and how `--scenario` names it.

Pure: text in, scenarios out. `roster` has what happens on the floor, `faults` what goes wrong
on the wire.

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


class _Kind(StrEnum):
    """What can be played: name, description, and the default of its value if it has one.

    The value is a duration in seconds, or a result code of the vendor's.
    """

    description: str
    seconds: float
    code: str

    def __new__(cls, name: str, description: str, seconds: float = 0.0, code: str = "") -> Self:
        """Makes a member whose value is its name."""
        kind = str.__new__(cls, name)
        kind._value_ = name
        kind.description, kind.seconds, kind.code = description, seconds, code
        return kind


class Course(_Kind):
    """What happens on a floor instead of an ordinary day."""

    QUIET = "quiet", "at most one agent rests, none waits"
    LUNCH_RUSH = "lunch-rush", "from each full hour, all request a rest: limits are reached"
    APPROVER_ABSENT = "approver-absent", "nobody approves rests: agents wait longer and longer"
    OVERDUE = "overdue", "one agent of each shift requests 15m and does not return"


class Fault(_Kind):
    """What the server does wrong."""

    HANG = "hang", "accepts the request and never answers"
    SLOW = "slow", "answers after a delay", 5.0
    DROP = "drop", "closes the connection without an answer"
    CUT = "cut", "sends a shorter body than Content-Length announces"
    UNAUTHORIZED = "unauthorized", "401, as for a wrong signature"
    KEY_ROTATED = "key-rotated", "401 after this time, unless the key ends in -rotated", 300.0
    CLOCK = "clock", "its clock is ahead (clock=-20m: behind), so it refuses", 1200.0
    FORBIDDEN = "forbidden", "403 from a gateway"
    RATE_LIMITED = "rate-limited", "429 with Retry-After", 30.0
    UNAVAILABLE = "unavailable", "503 with Retry-After", 30.0
    FLAPPING = "flapping", "502 in the first half of each period", 120.0
    ERROR = "error", "500 with an HTML page"
    REDIRECT = "redirect", "302 to a login page"
    API_ERROR = "api-error", "200 with a result code of failure", 0.0, "0100001"
    UNKNOWN_VDN = "unknown-vdn", "200 with result code 0100002, as for an unknown VDN"
    LEGACY_ONLY = "legacy-only", "404, except for the interface of 8.13 and earlier"
    CROWDED = "crowded", "250 agents rest; CTI 3.6 lists 100 without paging"
    ZEROS = "zeros", "rows with 0 in every field but the agent's name and ID"
    SECONDS = "seconds", "beginTime in seconds, not milliseconds"
    GARBAGE = "garbage", "200 with a body that is not valid JSON"
    HTML = "html", "200 with a login page"
    WRONG_SHAPE = "wrong-shape", "a counter is missing, negative, text or null, in turn"
    OVERSIZED = "oversized", "a body that never ends"
    GZIP_BOMB = "gzip-bomb", "about 1 MB of gzip that expands to 1 GiB"
    IGNORE_OFFSET = "ignore-offset", "CTI 3.6 that sends the first page for every page"
    ENDLESS = "endless", "CTI 3.6 that never ends its listing"
    OVERLAP = "overlap", "CTI 3.6 whose pages overlap"


Kind = Course | Fault
"""What a scenario plays."""

GROUPS: Mapping[str, tuple[Kind, ...]] = MappingProxyType(
    {
        "On the floor": tuple(Course),
        "Failures of the server or a gateway": (
            *(Fault.HANG, Fault.SLOW, Fault.DROP, Fault.CUT, Fault.FLAPPING, Fault.ERROR),
            *(Fault.UNAVAILABLE, Fault.RATE_LIMITED, Fault.FORBIDDEN, Fault.REDIRECT, Fault.HTML),
            *(Fault.GARBAGE, Fault.OVERSIZED, Fault.GZIP_BOMB),
        ),
        "Keys and clocks": (Fault.UNAUTHORIZED, Fault.KEY_ROTATED, Fault.CLOCK),
        "Answers of CC-CMS": (
            *(Fault.API_ERROR, Fault.UNKNOWN_VDN, Fault.LEGACY_ONLY, Fault.CROWDED, Fault.ZEROS),
            *(Fault.SECONDS, Fault.WRONG_SHAPE, Fault.IGNORE_OFFSET, Fault.ENDLESS, Fault.OVERLAP),
        ),
    }
)
"""Everything that can be played, by the headings of `simulate --list`."""
KINDS: Mapping[str, Kind] = MappingProxyType(
    {str(kind): kind for kinds in GROUPS.values() for kind in kinds}
)
"""The same by name."""

_NOT_SIMULATED: Mapping[str, str] = MappingProxyType(
    {
        "dns": "use a host name that does not resolve",
        "connect": "use a port that nothing listens on",
        "tls": "start it with a certificate that the client does not trust",
    }
)
_UNITS = ((3600.0, "h"), (60.0, "m"), (1.0, "s"), (0.001, "ms"))
_DURATION = re.compile(r"(-?)" + "".join(rf"(?:(\d+){unit})?" for _, unit in _UNITS))
_LONGEST = 8760 * 3600.0
"""A year: clocks that are further ahead may have no date."""
_CODE = re.compile(r"[0-9]{7}")
_TARGET = re.compile(r"([0-9]{1,5})/([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played, and the requests that it applies to.

    Args:
        kind: what happens on the floor, or what goes wrong.
        target: (ccId, vdn) of the only target that it applies to; None for every request.
        seconds: how slow the server is, how far its clock is ahead, or the value of Retry-After;
            0 for kinds without a duration.
        code: the result code of `API_ERROR`; empty for the others.
    """

    kind: Kind
    target: tuple[int, int] | None = None
    seconds: float = 0.0
    code: str = ""


def parse_scenario(text: str) -> Scenario:
    """Parses `NAME[=VALUE][@ccId/vdn]`, such as `hang`, `slow=3s` or `api-error=0100003@1/7`.

    Raises ValueError with a sentence.
    """
    rest, at, target = text.partition("@")
    name, equals, value = rest.partition("=")
    try:
        kind = _kind(name)
        seconds, code = kind.seconds, kind.code
        if equals and code:
            code = _code(value)
        elif equals:
            seconds = _seconds(kind, value)
        return Scenario(kind, _target(target) if at else None, seconds, code)
    except ValueError as problem:
        raise ValueError(f"scenario {text!r}: {problem}") from None


def written(kind: Kind) -> str:
    """As it is asked for, with the value that it has by default: `slow=5s`."""
    if not (kind.seconds or kind.code):
        return str(kind)
    size, unit = next(known for known in _UNITS if kind.seconds >= known[0] or kind.code)
    return f"{kind}={kind.code or f'{kind.seconds / size:.0f}{unit}'}"


def scenario_for(
    scenarios: Iterable[Scenario], target: tuple[int, int] | None, of: type[Kind] = Fault
) -> Scenario | None:
    """The fault for a request, or the `Course` of a floor.

    One for its target takes precedence over one for every request; of several, the last applies.
    `target` is None if the request could not be read.
    """
    by_target = {
        scenario.target: scenario for scenario in scenarios if isinstance(scenario.kind, of)
    }
    return by_target.get(target) or by_target.get(None)


def _kind(name: str) -> Kind:
    if name in KINDS:
        return KINDS[name]
    if name in _NOT_SIMULATED:
        raise ValueError(f"the simulator cannot produce {name!r}; {_NOT_SIMULATED[name]}")
    close = get_close_matches(name, KINDS, n=1)
    remedy = f"did you mean '{close[0]}'?" if close else f"the scenarios are {', '.join(KINDS)}"
    raise ValueError(f"there is no scenario {name!r}; {remedy}")


def _target(target: str) -> tuple[int, int]:
    form = _TARGET.fullmatch(target)
    if form is None:
        raise ValueError(f"{target!r} is not a target; write @ccId/vdn, such as @1/7")
    cc_id, vdn = int(form[1]), int(form[2])
    if cc_id not in CC_IDS:
        raise ValueError(f"ccId must be from 1 to 65535, not {cc_id}")
    if vdn not in VDNS:
        raise ValueError(f"vdn must be from 1 to 5000, not {vdn}")
    return cc_id, vdn


def _code(code: str) -> str:
    if _CODE.fullmatch(code) is None:
        raise ValueError(f"{code!r} is not a result code; write one such as 0100003")
    return code


def _seconds(kind: Kind, duration: str) -> float:
    if not kind.seconds:
        raise ValueError(f"{kind} takes no value; write {str(kind)!r}")
    form = _DURATION.fullmatch(duration)
    if form is None or not any(form.groups()[1:]):
        raise ValueError(f"{duration!r} is not a duration; write one such as 5s or 1m30s")
    if form[1] and kind is not Fault.CLOCK:
        raise ValueError(f"the duration of {kind} cannot be negative")
    seconds = sum(
        float(count or 0) * size for count, (size, _) in zip(form.groups()[1:], _UNITS, strict=True)
    )
    if seconds > _LONGEST:
        raise ValueError(f"{duration!r} is longer than 8760h")
    if kind is Fault.FLAPPING and not seconds:
        raise ValueError(f"the period of {kind} must be above 0s")
    return -seconds if form[1] else seconds
