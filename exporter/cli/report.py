"""What came of asking targets, in words for people and as data for scripts. Pure."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from exporter.cli.check_live import Answer
from exporter.store import TargetKey

_CLOCKS_AGREE: Final = 2.0
"""Seconds: a `Date` has no fractions, and a reply takes its time."""


def failures(answers: Iterable[Answer]) -> list[str]:
    """A line for each failure that targets of a server have in common."""
    alike: dict[tuple[str, str, str], list[TargetKey]] = {}
    for answer in answers:
        error = answer.result.error
        if error is not None:
            key = answer.target.cms, error.reason.value, error.message
            alike.setdefault(key, []).append(answer.target)
    return [
        f"{cms}: {places(targets)}: {reason}: {message}"
        for (cms, reason, message), targets in alike.items()
    ]


def places(targets: Iterable[TargetKey]) -> str:
    """Targets of one server, such as `ccId 1, vdn 1-4, 7; ccId 2, vdn 3`."""
    parts = []
    for cc_id, group in groupby(sorted(targets), key=lambda target: target.cc_id):
        runs: list[list[int]] = []
        for target in group:
            if runs and target.vdn == runs[-1][-1] + 1:
                runs[-1].append(target.vdn)
            else:
                runs.append([target.vdn])
        vdns = (f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
        parts.append(f"ccId {cc_id}, vdn {', '.join(vdns)}")
    return "; ".join(parts)


def summary(answers: Sequence[Answer]) -> list[str]:
    """What was asked, in a line for each server and one for all."""
    by_server: dict[str, list[Answer]] = {}
    for answer in answers:
        by_server.setdefault(answer.target.cms, []).append(answer)
    lines = [f"  {cms}: {_tally(group)}{_clock(group)}" for cms, group in by_server.items()]
    return ["live:", *lines, f"  all: {_tally(answers)}"]


def _tally(answers: Sequence[Answer]) -> str:
    failed = sum(answer.result.error is not None for answer in answers)
    requests = sum(answer.result.requests for answer in answers)
    slowest = max(answer.result.duration for answer in answers)
    targets = "1 target" if len(answers) == 1 else f"{len(answers)} targets"
    return (
        f"{len(answers) - failed} of {targets} answered, "
        f"{'1 request' if requests == 1 else f'{requests} requests'}, "
        f"the slowest took {slowest:.2f} s"
    )


def _clock(answers: Iterable[Answer]) -> str:
    skews = [answer.result.clock_skew for answer in answers]
    skew = max((skew for skew in skews if skew is not None), key=abs, default=0.0)
    return f"; {clock_sentence(skew)}" if abs(skew) >= _CLOCKS_AGREE else ""


def clock_sentence(skew: float) -> str:
    """How the server's clock differs from this host's."""
    return f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this host's"


def as_json(answer: Answer) -> dict[str, object]:
    """One answer for scripts."""
    result = answer.result
    found: dict[str, object] = {
        **answer.target._asdict(),
        "up": result.error is None,
        "duration_seconds": round(result.duration, 3),
        "requests": result.requests,
        "clock_skew_seconds": result.clock_skew,
    }
    if result.error is not None:
        return found | {"reason": result.error.reason.value, "message": result.error.message}
    seen = result.snapshot
    assert seen is not None  # noqa: S101
    return found | {
        "approved_agents": seen.approved,
        "resting_agents": seen.resting,
        "waiting_agents": seen.waiting,
    }
