"""What one probe did, step by step, as text for a person: the reply to `/probe?debug=true`."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from exporter.clock import Clock
from exporter.store import Target, TargetState

Note = Callable[[str, str], None]
"""Called as a step begins, with its name and what it does. The one before it has ended."""

_TURN: Final = ("turn", "wait for a free slot and the rate limit")


class _Step(NamedTuple):
    name: str
    text: str
    began: float
    """On the monotonic clock."""


class ProbeLog:
    """The steps of one probe."""

    def __init__(self, target: Target, moment: Clock) -> None:
        self._target = target
        self._moment = moment
        self._steps = [_Step(*_TURN, moment().monotonic)]
        self._ended = self._steps[0].began
        self._state = TargetState(target)

    def note(self, name: str, text: str) -> None:
        """A step begins."""
        self._steps.append(_Step(name, text, self._moment().monotonic))

    def end(self, state: TargetState) -> None:
        """The probe has ended, and the target's state is this."""
        self._ended = self._moment().monotonic
        self._state = state

    def lines(self) -> Iterator[bytes]:
        """The text: the outcome, every step, the sum of each, and the heading of the samples."""
        cms, cc_id, vdn = self._target.key
        failure, first = self._state.failure, self._steps[0].began
        outcome = "succeeded" if failure is None else "failed"
        took = _milliseconds(self._ended - first)
        text = [
            f"The probe of {cms}, call center {cc_id}, VDN {vdn} {outcome} after {took} ms.",
            "",
        ]
        if failure is not None:
            text += [f"{failure.reason.value}: {failure.message}", ""]
        if self._state.snapshot is not None:
            text += [f"{each.value}: {each.sentence}" for each in self._state.snapshot.doubts]
            text += [""] * bool(self._state.snapshot.doubts)
        text += ["Steps, over a new connection:", "", "     at ms    took ms  step"]
        sums: dict[str, float] = {}
        ends = [step.began for step in self._steps[1:]] + [self._ended]
        for step, end in zip(self._steps, ends, strict=True):
            sums[step.name] = sums.get(step.name, 0.0) + end - step.began
            last = step is self._steps[-1] and failure is not None
            text.append(
                f"{_milliseconds(step.began - first):>10} {_milliseconds(end - step.began):>10}  "
                f"{step.name:<8} {step.text}{' - the poll failed here' if last else ''}"
            )
        text += ["", "Sums in ms:", ""]
        text += [f"{_milliseconds(sum_):>10}  {name}" for name, sum_ in sums.items()]
        text += ["", "The samples that a scrape would have got:", ""]
        yield "".join(f"{line}\n" for line in text).encode()


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.2f}"
