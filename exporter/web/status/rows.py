"""The table of targets as HTML: one row for each, and its reasons in words."""

from collections.abc import Iterable
from dataclasses import replace
from html import escape
from typing import Final

from exporter.clock import Moment
from exporter.rest import Snapshot, WaitReason
from exporter.store import Failure, Target
from exporter.web.status.words import NONE, STANDINGS, due, duration, natural
from exporter.web.target_query import Query, Sort
from exporter.web.target_search import Entry, NextPoll

_COLUMNS: Final = (
    ("Target", Sort.TARGET),
    ("State", Sort.TROUBLE),
    ("Resting", Sort.RESTING),
    ("Waiting", Sort.WAITING),
    ("Approved", Sort.APPROVED),
    ("Longest rest", Sort.LONGEST_REST),
    ("Last success", Sort.LAST_SUCCESS),
    ("Next poll", Sort.NEXT_POLL),
)
_TITLES: Final = [title for title, _ in _COLUMNS[1:]]
_REASONS: Final = {
    WaitReason.AWAITING_APPROVAL: "awaiting approval",
    WaitReason.BUSY: "busy",
    WaitReason.VDN_LIMIT: "VDN limit",
    WaitReason.NO_SKILL_QUEUE: "no skill queue",
    WaitReason.SKILL_QUEUE_LIMIT: "skill queue limit",
    WaitReason.UNKNOWN: "unknown reason",
}


def header(query: Query) -> str:
    """The table's head. Each column is a link that orders by it, or turns the order round."""
    columns = "".join(_column(title, sort, query) for title, sort in _COLUMNS)
    return f"<thead>\n<tr>\n{columns}</tr>\n</thead>\n"


def _column(title: str, sort: Sort, query: Query) -> str:
    ordered = ""
    descending = natural(sort).startswith("-")
    if query.sort is sort:
        ordered = f' aria-sort="{"descending" if query.descending else "ascending"}"'
        descending = not query.descending
    url = replace(query, sort=sort, descending=descending, page=1).url()
    return f'<th scope="col"{ordered}><a href="{escape(url)}">{title}</a></th>\n'


def rows(entries: Iterable[Entry], now: Moment, next_poll: NextPoll) -> str:
    """The table's rows for some targets."""
    return "".join(_row(each, now, next_poll(each.state.target.key)) for each in entries)


def _row(each: Entry, now: Moment, due_at: float | None) -> str:
    state = each.state
    success = state.last_success
    texts = (
        f'<span class="standing">{STANDINGS[each.standing]}</span>{_failure(state.failure, now)}',
        *_numbers(each),
        "never" if success is None else f"{duration(now.monotonic - success.monotonic)} ago",
        due(None if due_at is None else due_at - now.monotonic),
    )
    # the script knows a row by its key, and a narrow screen shows each cell's title
    key = escape("/".join(map(str, state.target.key)))
    cells = "".join(
        f'<td data-title="{title}">{text}</td>\n'
        for title, text in zip(_TITLES, texts, strict=True)
    )
    return (
        f'<tr data-key="{key}" class="{each.standing.value}">\n'
        f'<th scope="row">{_name(state.target)}</th>\n{cells}</tr>\n'
    )


def _name(target: Target) -> str:
    cms, cc_id, vdn = target.key
    place = f"<bdi>{escape(cms)}</bdi>, call center {cc_id}, VDN {vdn}"
    name = f"<bdi>{escape(target.name)}</bdi><small>{place}</small>" if target.name else place
    labels = " ".join(
        f'<bdi class="label">{escape(label)}={escape(value)}</bdi>'
        for label, value in target.labels
    )
    return f"{name}<small>{labels}</small>" if labels else name


def _failure(failure: Failure | None, now: Moment) -> str:
    if failure is None:
        return ""
    return (
        f'<p class="error"><strong>{failure.reason.value}</strong> for '
        f"{duration(now.wall - failure.since)}: <bdi>{escape(failure.message)}</bdi></p>"
    )


def _numbers(each: Entry) -> tuple[str, str, str, str]:
    if each.reading.data is None:
        return NONE, NONE, NONE, NONE
    snapshot, server_time = each.reading.data
    reasons = "".join(
        f"<small>{count} {reason}</small>"
        for reason, count in zip(_REASONS.values(), snapshot.waiting_by_reason, strict=True)
        if count
    )
    return (
        _resting(each, snapshot.resting),
        f"{snapshot.waiting}{reasons}",
        str(snapshot.approved),
        _longest_rest(snapshot, server_time),
    )


def _resting(each: Entry, resting: int) -> str:
    limit = each.state.target.max_resting
    text = str(resting) if limit is None else f"{resting} of {limit}"
    if not each.above_limit:
        return text
    return f'<span class="above">{text}</span><small>above the limit</small>'


def _longest_rest(snapshot: Snapshot, server_time: float) -> str:
    longest, overdue = snapshot.longest_rest(server_time), snapshot.overdue(server_time)
    if not snapshot.resting:
        return NONE
    if longest is None:
        return "unknown<small>no row tells since when</small>"
    bound = "at most " if snapshot.unclassified else ""
    text = f"{bound}{duration(longest)}"
    if overdue.agents:
        most = "by" if overdue.agents == 1 else "by up to"
        text += f"<small>{overdue.agents} overdue {most} {duration(overdue.longest)}</small>"
    return text
