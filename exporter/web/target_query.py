"""What a URL asks for, many targets or one, from its parameters and back. Pure.

Many: search, filters, order and page, alike for the status page and the API. One: by its key, alike
for its page, for `/probe`, and for what `/sd` lists.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self, TypeVar
from urllib.parse import urlencode

from exporter.rest import Doubt
from exporter.store import Store, Target, TargetKey

MAX_LIMIT: Final = 1000
MAX_SEARCH: Final = 200
"""Every word is searched for in every target: a search has to stay cheap."""
_MAX_PAGE: Final = 999_999_999
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class RequestError(ValueError):
    """An invalid request, for a reply with status 400: the message is a sentence."""


class TargetStatus(StrEnum):
    """What a target's state amounts to, worst first."""

    DOWN = "down"
    """The last poll failed, even if the numbers are still fresh."""
    STALE = "stale"
    """The last poll succeeded, but too long ago for its numbers to be shown."""
    DOUBTFUL = "doubtful"
    """The last poll succeeded, and its numbers may not be what they seem."""
    WAITING = "waiting"
    """Not polled yet."""
    UP = "up"


class Sort(StrEnum):
    """What targets can be ordered by."""

    TROUBLE = "trouble"
    """By status; within a status, targets above their limit first."""
    TARGET = "target"
    RESTING = "resting"
    WAITING = "waiting"
    APPROVED = "approved"
    LONGEST_REST = "longest_rest"
    LAST_SUCCESS = "last_success"
    NEXT_POLL = "next_poll"


@dataclass(frozen=True, slots=True)
class Query:
    """One reader's question. By default: every target, trouble first."""

    search: str = ""
    cms: str = ""
    """The server whose targets are shown; empty for all."""
    states: frozenset[TargetStatus] = frozenset()
    """Empty for all."""
    doubts: frozenset[Doubt] = frozenset()
    """Targets with one of these; empty for all targets."""
    sort: Sort = Sort.TROUBLE
    descending: bool = False
    page: int = 1
    limit: int | None = None
    """Targets on a page; None for the default of the page or the API."""

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, str]]) -> Self:
        """Read a URL's parameters: `q`, `cms`, `state`, `doubt`, `sort`, `page` and `limit`.

        Empty ones, as a form sends them, count as absent. `state` and `doubt` can be repeated; of
        any other parameter, the last one counts. Unknown parameters are ignored.

        Raises:
            RequestError: a value is invalid; the message does not repeat it.
        """
        given = [(name, value.strip()) for name, value in parameters]
        single = {name: value for name, value in given if value}
        search, sort = single.get("q", ""), single.get("sort", Sort.TROUBLE.value)
        if len(search) > MAX_SEARCH:
            raise RequestError(f"q must not be longer than {MAX_SEARCH} characters")
        return cls(
            search=search,
            cms=single.get("cms", ""),
            states=frozenset(
                _member(TargetStatus, name, value)
                for name, value in given
                if name == "state" and value
            ),
            doubts=frozenset(
                _member(Doubt, name, value) for name, value in given if name == "doubt" and value
            ),
            sort=_member(Sort, "sort", sort.removeprefix("-")),
            descending=sort.startswith("-"),
            page=_number("page", single.get("page", "1"), _MAX_PAGE),
            limit=_number("limit", single["limit"], MAX_LIMIT) if "limit" in single else None,
        )

    def url(self) -> str:
        """The query part of the URL of this question, starting with its question mark."""
        parameters = [("q", self.search), ("cms", self.cms)]
        parameters += [("state", each.value) for each in TargetStatus if each in self.states]
        parameters += [("doubt", each.value) for each in Doubt if each in self.doubts]
        if self.descending or self.sort is not Sort.TROUBLE:
            parameters.append(("sort", self.order))
        if self.page > 1:
            parameters.append(("page", str(self.page)))
        if self.limit is not None:
            parameters.append(("limit", str(self.limit)))
        return "?" + urlencode([(name, value) for name, value in parameters if value])

    @property
    def asks_nothing(self) -> bool:
        """Whether it finds every target, trouble first."""
        return replace(self, page=1, limit=None) == type(self)()

    @property
    def order(self) -> str:
        """The parameter `sort`."""
        return f"{'-' if self.descending else ''}{self.sort.value}"


_Choice = TypeVar("_Choice", bound=StrEnum)


def _member(kind: type[_Choice], name: str, value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        raise RequestError(f"{name} must be one of {', '.join(kind)}") from None


def _number(name: str, value: str, highest: int) -> int:
    short = value.isascii() and value.isdecimal() and len(value) <= len(str(highest))
    if not short or not 1 <= int(value) <= highest:
        raise RequestError(f"{name} must be a whole number from 1 to {highest}")
    return int(value)


def parameters(key: TargetKey) -> Mapping[str, str]:
    """The query that asks for a target."""
    return {"cms": key.cms, "cc_id": str(key.cc_id), "vdn": str(key.vdn)}


def asked_for(query: Collection[tuple[str, str]], path: str) -> TargetKey:
    """The key of the target that a query's names and values ask for, configured or not.

    `path` is that of the page, for an example. Raises RequestError unless it is exactly one.
    """
    wrong: list[str] = []
    values: dict[str, str] = {}
    for name in TargetKey._fields:
        given = [value for key, value in query if key == name and value]
        if len(given) != 1:
            wrong.append(f"{name} is given {len(given)} times" if given else f"{name} is missing")
        elif name != "cms" and not _NUMBER.fullmatch(given[0]):
            wrong.append(f"{name} is not a whole number")
        else:
            values[name] = given[0]
    if wrong:
        raise RequestError(
            f"{', '.join(wrong)}: write it like {path}?cms=lima&cc_id=1&vdn=2; /sd lists all "
            "targets"
        )
    return TargetKey(values["cms"], int(values["cc_id"]), int(values["vdn"]))


def configured(store: Store, key: TargetKey) -> Target:
    """The target with this key. Raises RequestError if there is none."""
    try:
        return store.state(key).target
    except KeyError:
        raise RequestError(
            f"no target is configured with cms {key.cms!r}, cc_id {key.cc_id} and vdn {key.vdn}: "
            "/sd lists all targets"
        ) from None
