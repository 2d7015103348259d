"""Finds and orders the targets that a reader asks for. Pure.

Ten thousand targets take tens of milliseconds, and polls run in the same event loop: the work is a
generator, which yields where its caller may let polls run.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, NamedTuple

from exporter.clock import Moment
from exporter.history import Sample
from exporter.metrics.families import Reading, read
from exporter.rest import Doubt, Snapshot
from exporter.store import Failure, TargetKey, TargetState
from exporter.web.target_query import Query, Sort, TargetStatus

NextPoll = Callable[[TargetKey], float | None]
"""When a target is due next, in monotonic seconds; None if unknown."""

_SLICE: Final = 500
"""Targets in one slice: a millisecond's work or two."""
_TROUBLED: Final = {TargetStatus.DOWN, TargetStatus.DOUBTFUL}
_RANKS: Final = {status: rank for rank, status in enumerate(TargetStatus)}


class Entry(NamedTuple):
    """One target at one moment."""

    reading: Reading
    status: TargetStatus

    @property
    def state(self) -> TargetState:
        """Its state in the store."""
        return self.reading.state

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why its numbers may not be what they seem; nothing without fresh numbers."""
        return () if self.reading.data is None else self.reading.data[0].doubts

    @property
    def sample(self) -> Sample:
        """Its fresh numbers, as the history keeps them."""
        data = self.reading.data
        return None if data is None else (data[0].resting, data[0].waiting)

    @property
    def above_limit(self) -> bool:
        """Whether more agents are resting than the target's `max_resting`."""
        limit, data = self.state.target.max_resting, self.reading.data
        return limit is not None and data is not None and data[0].resting > limit


@dataclass(slots=True, eq=False)
class Trouble:
    """What targets of one server have in common: the cause of a failure, or a doubt."""

    cms: str
    status: TargetStatus
    """Of its targets."""
    name: str
    """The failure's reason, or the doubt."""
    sentence: str
    since: float | None = None
    """Epoch seconds of the first failure; None for a doubt."""
    targets: int = 0

    @property
    def query(self) -> Query:
        """What finds its targets."""
        if self.status is TargetStatus.DOWN:
            return Query(f"reason={self.name}", self.cms, frozenset({TargetStatus.DOWN}))
        return Query(cms=self.cms, doubts=frozenset({Doubt(self.name)}))


@dataclass(frozen=True, slots=True)
class Listing:
    """The answer to one query, before it is cut into pages."""

    entries: list[Entry]
    """All matching targets, in the order asked for."""
    servers: Mapping[str, Counter[TargetStatus]]
    """Targets of every server by status, whatever was asked for."""
    facets: Counter[TargetStatus]
    """Matching targets by status, whichever states were asked for."""
    troubles: Mapping[tuple[str, ...], Trouble]
    """What is wrong with targets of every server, whatever was asked for.

    By server and doubt, or by server, reason and message; messages that are alike are one trouble.
    """

    def failure(self, each: Entry) -> Trouble | None:
        """The trouble that a target's failure is part of."""
        failure = each.state.failure
        return None if failure is None else self.troubles[_message(each, failure)]

    def doubt(self, each: Entry, doubt: Doubt) -> Trouble:
        """The trouble that a target's doubt is part of."""
        return self.troubles[each.state.target.key.cms, doubt.value]

    def pages(self, limit: int) -> int:
        """The number of pages: at least one."""
        return max(1, -(-len(self.entries) // limit))

    def page(self, number: int, limit: int) -> list[Entry]:
        """The targets of one page; none beyond the last page."""
        return self.entries[(number - 1) * limit : number * limit]


def entry(state: TargetState, now: Moment) -> Entry:
    """What `state` amounts to at `now`."""
    reading = read(state, now)
    if state.failure is not None:
        status = TargetStatus.DOWN
    elif state.polls == 0:
        status = TargetStatus.WAITING
    elif reading.data is None:
        status = TargetStatus.STALE
    else:
        status = TargetStatus.DOUBTFUL if reading.data[0].doubts else TargetStatus.UP
    return Entry(reading, status)


def find(
    states: Iterable[TargetState],
    servers: Iterable[str],
    now: Moment,
    query: Query,
    next_poll: NextPoll,
) -> Generator[bytes, None, Listing]:
    """Find the targets for `query`. Yields only empty slices.

    `states` are read at once, and have the order of the configuration, as `servers` have: the
    names of all servers, also of those without targets.
    """
    taken = list(states)
    by_server: dict[str, Counter[TargetStatus]] = {name: Counter() for name in servers}
    facets: Counter[TargetStatus] = Counter()
    troubles: dict[tuple[str, ...], Trouble] = {}
    alike: dict[tuple[str, ...], Trouble] = {}
    words = query.search.casefold().split()
    key = _KEYS.get(query.sort) or (lambda each: next_poll(each.state.target.key))
    keyed: list[tuple[_Value, Entry]] = []
    keyless: list[Entry] = []
    for start in range(0, len(taken), _SLICE):
        for state in taken[start : start + _SLICE]:
            each = entry(state, now)
            cms = state.target.key.cms
            by_server[cms][each.status] += 1
            if each.status in _TROUBLED:
                _note_trouble(each, troubles, alike)
            if (query.cms and cms != query.cms) or (words and not _matches(each, words)):
                continue
            if query.doubts and query.doubts.isdisjoint(each.doubts):
                continue
            facets[each.status] += 1
            if query.states and each.status not in query.states:
                continue
            value = key(each)
            if value is None:
                keyless.append(each)
            else:
                keyed.append((value, each))
        yield b""
    keyed.sort(key=itemgetter(0), reverse=query.descending)
    return Listing([each for _, each in keyed] + keyless, by_server, facets, troubles)


def _note_trouble(
    each: Entry,
    troubles: dict[tuple[str, ...], Trouble],
    alike: dict[tuple[str, ...], Trouble],
) -> None:
    """Count a target with others that are in the same trouble.

    `alike` has the failures among `troubles` by server and cause, which is looked at only once for
    each message: to take the times out of ten thousand would take as long as all the rest.
    """
    failure, cms = each.state.failure, each.state.target.key.cms
    if failure is not None:
        message = _message(each, failure)
        trouble = troubles.get(message)
        if trouble is None:
            trouble = troubles[message] = alike.setdefault(
                (cms, *failure.cause),
                Trouble(cms, TargetStatus.DOWN, failure.reason.value, failure.message),
            )
        trouble.targets += 1
        trouble.since = min(failure.since, trouble.since or failure.since)
    for doubt in each.doubts:
        trouble = troubles.setdefault(
            (cms, doubt.value), Trouble(cms, TargetStatus.DOUBTFUL, doubt.value, doubt.sentence)
        )
        trouble.targets += 1


def _message(each: Entry, failure: Failure) -> tuple[str, str, str]:
    return each.state.target.key.cms, failure.reason, failure.message


def _matches(each: Entry, words: Iterable[str]) -> bool:
    """Whether every word matches.

    `label=value` must match a whole label, or its beginning up to a space; any other word may
    be found anywhere.
    """
    state, target = each.state, each.state.target
    cms, cc_id, vdn = target.key
    pairs = [f"cms={cms}", f"cc_id={cc_id}", f"vdn={vdn}", f"name={target.name or ''}"]
    pairs += [f"{label}={value}" for label, value in target.labels]
    if state.failure is not None:
        pairs += [f"reason={state.failure.reason.value}", state.failure.message]
    pairs += [f"doubt={doubt.value}" for doubt in each.doubts]
    text = "\n".join(["", *pairs, ""]).casefold()
    return all(
        f"\n{word}\n" in text or f"\n{word} " in text if "=" in word else word in text
        for word in words
    )


_Value = float | tuple[str, TargetKey]
_Key = Callable[[Entry], _Value | None]
"""The key to sort by. Targets without one come last, in either direction."""


def _by_number(number: Callable[[Snapshot, float], float | None]) -> _Key:
    return lambda each: None if each.reading.data is None else number(*each.reading.data)


def _by_target(each: Entry) -> tuple[str, TargetKey]:
    target = each.state.target
    return (target.name or target.key.cms).casefold(), target.key


def _by_last_success(each: Entry) -> float | None:
    success = each.state.last_success
    return None if success is None else success.boot


_KEYS: Final[Mapping[Sort, _Key]] = {
    Sort.TROUBLE: lambda each: _RANKS[each.status] - each.above_limit / 2,
    Sort.TARGET: _by_target,
    Sort.RESTING: _by_number(lambda snapshot, _: snapshot.resting),
    Sort.WAITING: _by_number(lambda snapshot, _: snapshot.waiting),
    Sort.APPROVED: _by_number(lambda snapshot, _: snapshot.approved),
    Sort.LONGEST_REST: _by_number(Snapshot.longest_rest),
    Sort.LAST_SUCCESS: _by_last_success,
}
