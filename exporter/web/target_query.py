"""What a reader can ask of the targets: search, filters, order and page, from a URL and back. Pure.

The status page and the API share it, so that the same parameters show the same targets in both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, TypeVar
from urllib.parse import urlencode

MOST_ROWS: Final = 1000
LONGEST_SEARCH: Final = 200
"""Each word is looked for in every target: a search has to stay cheap."""
_MOST_DIGITS: Final = 9


class Standing(StrEnum):
    """What a target's state comes to, worst first."""

    DOWN = "down"
    """Its last poll failed, however fresh its numbers are."""
    STALE = "stale"
    """Its last poll succeeded, but too long ago for its numbers to be shown."""
    WAITING = "waiting"
    """It was never polled."""
    UP = "up"


class Sort(StrEnum):
    """What targets can be ordered by."""

    TROUBLE = "trouble"
    """By standing; of those that are equal, the ones above their limit first."""
    TARGET = "target"
    RESTING = "resting"
    WAITING = "waiting"
    APPROVED = "approved"
    LONGEST_REST = "longest_rest"
    LAST_SUCCESS = "last_success"
    NEXT_POLL = "next_poll"


@dataclass(frozen=True, slots=True)
class Query:
    """One reader's question. Without parameters: every target, trouble first."""

    search: str = ""
    cms: str = ""
    """The one server whose targets are shown; empty for all."""
    states: frozenset[Standing] = frozenset()
    """Empty for all."""
    sort: Sort = Sort.TROUBLE
    descending: bool = False
    page: int = 1
    limit: int | None = None
    """Targets on a page; None for as many as the page or the API finds fit."""

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, str]]) -> Self:
        """Read a URL's parameters: `q`, `cms`, `state` (repeated), `sort`, `page` and `limit`.

        Empty ones, as a form sends them, count as left out. Of a repeated one, except `state`,
        the last counts. Unknown ones mean nothing.

        Raises:
            ValueError: a value cannot be had; the message is a sentence that repeats none of it.
        """
        given = [(name, value.strip()) for name, value in parameters]
        single = {name: value for name, value in given if value}
        search, sort = single.get("q", ""), single.get("sort", Sort.TROUBLE.value)
        if len(search) > LONGEST_SEARCH:
            raise ValueError(f"q is longer than {LONGEST_SEARCH} characters")
        return cls(
            search=search,
            cms=single.get("cms", ""),
            states=frozenset(
                _member(Standing, name, value) for name, value in given if name == "state" and value
            ),
            sort=_member(Sort, "sort", sort.removeprefix("-")),
            descending=sort.startswith("-"),
            page=_number("page", single.get("page", "1"), None),
            limit=_number("limit", single["limit"], MOST_ROWS) if "limit" in single else None,
        )

    def url(self) -> str:
        """The query part of a URL that asks this, from its question mark on."""
        parameters = [("q", self.search), ("cms", self.cms)]
        parameters += [("state", each.value) for each in Standing if each in self.states]
        if self.descending or self.sort is not Sort.TROUBLE:
            parameters.append(("sort", self.order))
        if self.page > 1:
            parameters.append(("page", str(self.page)))
        if self.limit is not None:
            parameters.append(("limit", str(self.limit)))
        return "?" + urlencode([(name, value) for name, value in parameters if value])

    @property
    def order(self) -> str:
        """The parameter `sort`."""
        return f"{'-' if self.descending else ''}{self.sort.value}"


_Choice = TypeVar("_Choice", bound=StrEnum)


def _member(kind: type[_Choice], name: str, value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{name} is none of {', '.join(kind)}") from None


def _number(name: str, value: str, most: int | None) -> int:
    """A whole number from 1 up."""
    fits = value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS and int(value) >= 1
    if not fits or (most is not None and int(value) > most):
        span = "1 upwards" if most is None else f"1 to {most}"
        raise ValueError(f"{name} is no whole number from {span}")
    return int(value)
