"""Every broken set-up that is known, made real on sockets: the reason and the sentence for each.

docs/failures.md is this table. To write it anew: `WRITE_FAILURES=1 pytest` on this file.
"""

import html
import io
import json
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

from exporter.cli.check_live import Answer, Feed, grouped
from exporter.cli.output import console
from exporter.clock import system_clock
from exporter.errors import PollResult
from exporter.polling.failure_log import FailureLog
from exporter.store import ReloadStatus, Target, TargetKey, TargetState
from exporter.web import api
from exporter.web.html_pages import HtmlPages
from exporter.web.target_query import Query
from tests.support.broken_setups import CASES, Site
from tests.support.cms_peer import connected
from tests.support.paths import ROOT
from tests.support.stores import store_of

pytestmark = [pytest.mark.anyio, pytest.mark.both_loops]  # the same sentences on either loop

TARGET = Target(TargetKey("lima", 1, 1))
PAGES = HtmlPages(version="1", telemetry_path="/metrics")
PAGE = ROOT / "docs" / "failures.md"
HEAD = """\
# Failures and their sentences

What the exporter says about each broken set-up that its tests make real on sockets. The reason is
the value of the label `reason` of `agent_rest_failing`, or of the label `doubt` of
`agent_rest_doubt` where the poll succeeds and its numbers are doubtful. The sentence is the same in
the log, on the status page, in the API, in `query` and in `check --live`. A test generates this
page (`tests/cms/test_failure_matrix.py`), and fails if a sentence differs.

| set-up | reason | sentence |
|---|---|---|
"""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """An empty one, torn down after the test."""
    ca = trustme.CA(organization_name="Lima Ltd")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.cert_pem.bytes())
    async with AsyncExitStack() as stack:
        yield Site(stack, ca, ca_file)


def documented() -> dict[str, tuple[str, str]]:
    """The rows of the page: reason and sentence of each set-up."""
    text = PAGE.read_text() if PAGE.exists() else ""
    rows = re.findall(r"^\| (.+?) \| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    return {name: (reason, sentence) for name, reason, sentence in rows}


def said_by_log(result: PollResult, caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    """Reason or doubt, and sentence, of the line that this poll logs."""
    caplog.clear()
    caplog.set_level(logging.INFO, "exporter")
    before = TargetState(TARGET)
    FailureLog("lima").note(before, before.after(result), result)
    lines: list[dict[str, str]] = [record.__dict__["fields"] for record in caplog.records]
    if result.error is None:
        # a clock that is off has a line as well; the doubt that says most comes first
        fields = next(fields for fields in lines if "doubt" in fields)
        return fields["doubt"], fields["meaning"]
    fields = lines[-1]
    return fields["reason"], fields["error"]


def said_by_status_page(result: PollResult) -> str:
    """The text of the page after this poll, as a person reads it."""
    store = store_of([TARGET])
    store.record(store.state(TARGET.key).after(result))
    now = system_clock()
    reload = ReloadStatus(successful=True, last_success=now.wall)
    slices = PAGES.status_page(store, now, Query(), lambda _: None, reload)
    found = b"".join(slices).decode()
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", found)).split())


def said_by_api(result: PollResult) -> tuple[str, str]:
    """Reason or doubt, and sentence, in the JSON after this poll."""
    store = store_of([TARGET])
    store.record(store.state(TARGET.key).after(result))
    found = json.loads(b"".join(api.slices(store, system_clock(), Query(), lambda _: None)))
    (target,) = found["targets"]
    if result.error is None:
        doubt, sentence = next(iter(target["doubts"].items()))
        return doubt, sentence
    return target["error"]["reason"], target["error"]["message"]


def said_by_check(result: PollResult) -> tuple[str, str]:
    """Reason and sentence of the line that `check --live` writes to stderr."""
    stream = io.StringIO()
    feed = Feed(console(io.StringIO()), console(stream), {"lima": 1})
    feed.add(Answer(TARGET.key, result))
    line = stream.getvalue().splitlines()[0]
    _, _, found = line.partition("lima: ccId 1, vdn 1: ")
    reason, _, sentence = found.partition(": ")
    (group, *_) = grouped([Answer(TARGET.key, result)])
    assert group.text == line
    return reason, sentence


@pytest.mark.parametrize("name", CASES)
async def test_each_set_up_is_named(
    site: Site, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As the page says, wherever it is said. A server that sends a surplus reply has its own."""
    target = await CASES[name](site)
    async with connected(target.url, **target.facts) as client:
        result = await client.poll(1, 1)
    if result.error is not None:
        reason, sentence = result.error.reason.value, result.error.message
    else:
        assert result.snapshot is not None
        doubt = result.snapshot.doubts[0]
        reason, sentence = doubt.value, doubt.sentence
    assert said_by_log(result, caplog) == (reason, sentence)
    assert said_by_api(result) == (reason, sentence)
    assert said_by_check(result) == ("doubtful" if result.error is None else reason, sentence)
    page = said_by_status_page(result)
    assert (reason in page, sentence in page) == (True, True)
    for found, shown in target.replaced.items():
        sentence = sentence.replace(found, shown)
    sentence = sentence.replace("|", "\\|")
    print(f"{name}: {reason}: {sentence}")  # noqa: T201  # the table in the test's output
    if os.environ.get("WRITE_FAILURES"):
        rows = documented() | {name: (reason, sentence)}
        lines = [f"| {key} | `{rows[key][0]}` | {rows[key][1]} |" for key in CASES if key in rows]
        PAGE.write_text(HEAD + "\n".join(lines) + "\n")
    assert "secret" not in sentence.replace("secret_key", "")
    assert documented()[name] == (reason, sentence)


def test_the_page_has_every_set_up_and_no_other() -> None:
    """In the order of the tests."""
    assert PAGE.read_text().startswith(HEAD)
    assert list(documented()) == list(CASES)
