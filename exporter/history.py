"""What happened lately, for people to look at: an hour of numbers, and the failures of each target.

It is not a database. Memory is bounded: docs/reliability.md states the bounds. A poll that succeeds
writes nothing here: numbers are sampled once a minute, and failures are noted when they begin, go
on or end.
"""

import re
from array import array
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final

from exporter.errors import Reason

SAMPLES: Final = 60
"""Numbers that are kept of each target, one for each minute."""
MINUTE: Final = 60.0
MOST_SAMPLED: Final = 20_000
"""Targets above which no numbers are kept at all."""
MOST_OF_ONE: Final = 20
"""Failures that are kept of one target."""
MOST_FAILURES: Final = 20_000
"""Failures that are kept of all targets together; the oldest are dropped first."""

_UNKNOWN: Final = 2**16 - 1
"""Stands for no number in an array."""
_SERIES: Final = 2
_WIDTH: Final = _SERIES * SAMPLES
_BLANK: Final = array("H", [_UNKNOWN]) * _WIDTH
_MOST_MESSAGES: Final = 1000

_SECONDS: Final = re.compile(r"\d+(\.\d+)? s\b")


def without_seconds(message: str) -> str:
    """A failure's message less the seconds in it, which differ from poll to poll."""
    return _SECONDS.sub("N s", message)


Sample = tuple[int, int] | None
"""Agents who rest and who wait; None if they were not known."""


class RestHistory:
    """How many agents rested and waited, for each target and each of the last sixty minutes.

    With more targets than `most`, nothing is kept.
    """

    def __init__(self, most: int = MOST_SAMPLED) -> None:
        self._most = most
        self._places: dict[Hashable, int] = {}
        self._samples = array("H")
        self._minute: int | None = None
        """The last one whose numbers were added."""

    @property
    def kept(self) -> bool:
        """Whether anything is kept: there are not too many targets."""
        return bool(self._places)

    def replace(self, keys: Iterable[Hashable]) -> None:
        """Keep numbers of these targets from now on. Those that stay keep their numbers."""
        listed = list(keys)
        if len(listed) > self._most:
            listed = []
        if listed == list(self._places):
            return
        samples = array("H")
        for key in listed:
            at = self._places.get(key)
            samples += _BLANK if at is None else self._samples[at * _WIDTH : (at + 1) * _WIDTH]
        self._places = {key: place for place, key in enumerate(listed)}
        self._samples = samples

    def add(self, minute: int, samples: Iterable[Sample]) -> None:
        """Keep the numbers of one minute.

        Args:
            minute: counted from anywhere; those that were left out since the last one are blank.
            samples: of each target, in the order of `replace`.
        """
        if not self._places:
            return
        if self._minute is not None:
            blank = array("H", [_UNKNOWN]) * len(self._places)
            for missed in range(max(self._minute + 1, minute - SAMPLES + 1), minute):
                self._write(missed, blank, blank)
        resting, waiting = array("H"), array("H")
        for sample in samples:
            if sample is None:
                resting.append(_UNKNOWN)
                waiting.append(_UNKNOWN)
            else:
                resting.append(min(sample[0], _UNKNOWN - 1))
                waiting.append(min(sample[1], _UNKNOWN - 1))
        self._write(minute, resting, waiting)
        self._minute = minute

    def of(self, key: Hashable) -> list[Sample]:
        """The numbers of one target, the oldest first; empty if none are kept."""
        at = self._places.get(key)
        if at is None or self._minute is None:
            return []
        row = self._samples[at * _WIDTH : (at + 1) * _WIDTH]
        found: list[Sample] = []
        for minute in range(self._minute + 1, self._minute + 1 + SAMPLES):
            resting, waiting = row[minute % SAMPLES], row[SAMPLES + minute % SAMPLES]
            found.append(None if resting == _UNKNOWN else (resting, waiting))
        return found

    def _write(self, minute: int, resting: "array[int]", waiting: "array[int]") -> None:
        self._samples[minute % SAMPLES :: _WIDTH] = resting
        self._samples[SAMPLES + minute % SAMPLES :: _WIDTH] = waiting


@dataclass(slots=True, eq=False)
class Episode:
    """Consecutive polls of one target that failed for the same cause."""

    key: Hashable
    """The target's."""
    reason: Reason
    message: str
    """Of the first of them."""
    since: float
    """Epoch seconds of the first of them."""
    until: float | None = None
    """Epoch seconds at which a poll succeeded, or failed for another cause; None until then."""
    polls: int = 1
    """That failed."""
    kept: bool = True


class FailureHistory:
    """The last failures of each target."""

    def __init__(self, most_of_one: int = MOST_OF_ONE, most: int = MOST_FAILURES) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._of: dict[Hashable, list[Episode]] = {}
        self._order = deque[Episode]()
        """Oldest first, without those that are no longer kept."""
        self._kept = 0
        self._messages: dict[str, str] = {}

    def __len__(self) -> int:
        return self._kept

    def failed(self, key: Hashable, reason: Reason, message: str, at: float) -> None:
        """A poll has failed, at this time in epoch seconds."""
        current = self._current(key)
        if current is not None:
            if current.reason is reason and (
                current.message == message
                or without_seconds(current.message) == without_seconds(message)
            ):
                current.polls += 1
                return
            current.until = at
        episode = Episode(key, reason, self._shared(message), at)
        self._of.setdefault(key, []).append(episode)
        self._order.append(episode)
        self._kept += 1
        if len(self._of[key]) > self._most_of_one:
            self._drop(self._of[key][0])
        while self._kept > self._most or (self._order and not self._order[0].kept):
            oldest = self._order.popleft()
            if oldest.kept:
                self._drop(oldest)
        if len(self._order) > 2 * self._most:
            self._order = deque(each for each in self._order if each.kept)

    def ended(self, key: Hashable, at: float) -> None:
        """A poll has succeeded at this time, in epoch seconds, after others that failed."""
        current = self._current(key)
        if current is not None:
            current.until = at

    def of(self, key: Hashable) -> list[Episode]:
        """The failures of a target, the latest first."""
        return self._of.get(key, [])[::-1]

    def keep(self, keys: Iterable[Hashable]) -> None:
        """Forget the failures of all targets but these."""
        for key in self._of.keys() - set(keys):
            for episode in self.of(key):
                self._drop(episode)

    def _current(self, key: Hashable) -> Episode | None:
        """The failure that has not ended, if there is one."""
        episodes = self._of.get(key)
        return episodes[-1] if episodes and episodes[-1].until is None else None

    def _drop(self, episode: Episode) -> None:
        episode.kept = False
        self._kept -= 1
        episodes = self._of[episode.key]
        episodes.remove(episode)
        if not episodes:
            del self._of[episode.key]

    def _shared(self, message: str) -> str:
        """The same text, once: a server that dies fails a thousand targets with one sentence."""
        if len(self._messages) >= _MOST_MESSAGES:
            self._messages.clear()
        return self._messages.setdefault(message, message)
