"""What a reader chooses by, as HTML: a plain form, and links from page to page."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from html import escape

from exporter.web.status.words import ORDERS, STANDINGS, order
from exporter.web.target_query import LONGEST_SEARCH, Query, Standing


def form(query: Query, servers: Iterable[str], facets: Counter[Standing]) -> str:
    """Search, server, order and state. Without JavaScript a button sends them.

    Args:
        query: what is shown now.
        servers: every server's name.
        facets: targets by standing, if no state were asked for.
    """
    names = list(servers)
    if query.cms and query.cms not in names:
        names.append(query.cms)  # a bookmark may be older than the configuration
    cms = _options([("", "all servers"), *((name, name) for name in names)], query.cms)
    orders = ORDERS if query.order in ORDERS else [*ORDERS, query.order]
    sort = _options([(each, order(each)) for each in orders], query.order)
    limit = (
        "" if query.limit is None else f'<input type="hidden" name="limit" value="{query.limit}">\n'
    )
    return (
        '<form role="search" aria-label="Targets" autocomplete="off">\n'
        '<p class="field search"><label for="q">Search</label>\n'
        f'<input type="search" id="q" name="q" maxlength="{LONGEST_SEARCH}" spellcheck="false"'
        f' value="{escape(query.search)}" aria-describedby="hint">\n'
        '<small id="hint">Words of a name, label or error, or <code>vdn=12</code>,'
        " <code>site=lima</code>, <code>reason=timeout</code></small></p>\n"
        f'<p class="field"><label for="cms">Server</label>\n'
        f'<select id="cms" name="cms">{cms}</select></p>\n'
        f'<p class="field"><label for="sort">Order</label>\n'
        f'<select id="sort" name="sort">{sort}</select></p>\n'
        "<fieldset><legend>State</legend>\n"
        f"{''.join(_state(each, query, facets[each]) for each in Standing)}</fieldset>\n"
        f'{limit}<p><button type="submit">Show</button></p>\n</form>\n'
    )


def _options(options: Iterable[tuple[str, str]], chosen: str) -> str:
    return "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>'
        f"{escape(text)}</option>"
        for value, text in options
    )


def _state(standing: Standing, query: Query, count: int) -> str:
    checked = " checked" if standing in query.states else ""
    return (
        f'<label class="{standing.value}"><input type="checkbox" name="state"'
        f' value="{standing.value}"{checked}> <span class="standing">{STANDINGS[standing]}</span>'
        f' <span class="count" id="count-{standing.value}" data-live>{count:,}</span></label>\n'
    )


def pager(query: Query, page: int, pages: int) -> str:
    """Links to the pages around this one; nothing if there is only one.

    Args:
        query: what is shown now.
        page: the page that is shown, which is the last one if a later one was asked for.
        pages: how many there are.
    """
    if pages == 1:
        return ""
    places = {"First": 1, "Previous": page - 1, "Next": page + 1, "Last": pages}
    links = [_link(query, text, number, page, pages) for text, number in places.items()]
    links.insert(2, f"<span>Page {page:,} of {pages:,}</span>\n")
    return f'<nav class="pager" aria-label="Pages" data-key="pager">\n{"".join(links)}</nav>\n'


def _link(query: Query, text: str, number: int, page: int, pages: int) -> str:
    """A link, or a place held for one that leads nowhere."""
    if number == page or not 1 <= number <= pages:
        return f'<span class="nowhere" data-key="{text}">{text}</span>\n'
    url = escape(replace(query, page=number).url())
    return f'<a href="{url}" data-key="{text}">{text}</a>\n'
