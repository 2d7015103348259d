"""`beginTime`: which unit it is in, and whether it can be believed. Pure.

The vendor's page calls it a timestamp and no more. docs/semantics.md has the rules.
"""

import math
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final


class BeginTimeUnit(StrEnum):
    """The unit of `beginTime`, which the vendor's page calls a timestamp and no more."""

    AUTO = "auto"
    SECONDS = "s"
    MILLISECONDS = "ms"


_FIRST_MILLISECONDS: Final = {
    # from here up: in seconds it would be the year 5138
    BeginTimeUnit.AUTO: 10**11,
    BeginTimeUnit.SECONDS: math.inf,
    BeginTimeUnit.MILLISECONDS: 0,
}
"""From which value up a time is taken as milliseconds."""
_OTHER_UNIT: Final = {
    BeginTimeUnit.SECONDS: BeginTimeUnit.MILLISECONDS,
    BeginTimeUnit.MILLISECONDS: BeginTimeUnit.SECONDS,
}
_YEAR_2000: Final = 946_684_800
_DAY: Final = 86_400
_UNSET: Final = 4_294_967_295_000
"""What some of the vendor's interfaces send for a time that was never set."""


def usable_start(begin_time: int | None, server_time: float, unit: BeginTimeUnit) -> float | None:
    """Epoch seconds of a row's `begin_time`, by the server's clock.

    None for one that cannot be believed: it would show as a 56-year rest, or is more than a day in
    the future.
    """
    return next(usable_starts([begin_time], server_time, unit))


def usable_starts(
    begin_times: Iterable[int | None], server_time: float, unit: BeginTimeUnit
) -> Iterator[float | None]:
    """What `usable_start` says of each. A call for each row would be a third of a poll's work."""
    first_milliseconds = _FIRST_MILLISECONDS[unit]
    latest = server_time + _DAY
    for begin_time in begin_times:
        if begin_time is None or not 0 < begin_time < 10**18:
            yield None
            continue
        start = begin_time / 1000 if begin_time >= first_milliseconds else float(begin_time)
        yield start if _YEAR_2000 <= start <= latest else None


def is_wrong_unit(
    begin_times: Iterable[int | None], server_time: float, unit: BeginTimeUnit
) -> bool:
    """Whether every start that is set would be usable in the other unit."""
    other = _OTHER_UNIT.get(unit)
    is_set = [each for each in begin_times if each and 0 < each != _UNSET]
    return (
        other is not None and bool(is_set) and None not in usable_starts(is_set, server_time, other)
    )
