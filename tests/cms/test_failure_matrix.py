"""Every broken set-up that is known, made real on sockets: the reason and the sentence for each.

docs/failures.md is this table. To write it anew: `WRITE_FAILURES=1 pytest` on this file.
"""

import html
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme

from exporter.clock import system_clock
from exporter.polling.failure_log import FailureLog
from exporter.store import ReloadStatus, Target, TargetKey
from exporter.web.html_pages import HtmlPages
from exporter.web.status_page import StatusPage
from exporter.web.target_query import Query
from tests.support.broken_setups import CASES, Site
from tests.support.cms_peer import connected
from tests.support.paths import ROOT
from tests.support.stores import store_of

pytestmark = pytest.mark.anyio

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
def anyio_backend(both_loops: tuple[str, dict[str, bool]]) -> tuple[str, dict[str, bool]]:
    """The same sentences on either loop."""
    return both_loops


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


@pytest.mark.parametrize("name", CASES)
async def test_each_set_up_is_named(site: Site, name: str) -> None:
    """As the page says. A server that sends a surplus reply has tests of its own."""
    target = await CASES[name](site)
    async with connected(target.url, **target.facts) as client:
        result = await client.poll(1, 1)
    if result.error is not None:
        reason, sentence = result.error.reason.value, result.error.message
    else:
        assert result.snapshot is not None
        doubt = result.snapshot.doubts[0]
        reason, sentence = doubt.value, doubt.sentence
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


async def test_log_and_page_have_the_same_message(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither words it again, so what is said above holds for both."""
    target = Target(TargetKey("lima", 1, 1))
    kept = store_of([target])
    set_up = await CASES["login page"](site)
    async with connected(set_up.url, **set_up.facts) as client:
        result = await client.poll(1, 1)
    assert result.error is not None

    caplog.set_level(logging.INFO, "exporter.polling.failure_log")
    before = kept.state(target.key)
    kept.record(before.after(result))
    FailureLog("lima").note(before, kept.state(target.key), result)
    now = system_clock()
    page = b"".join(
        StatusPage(HtmlPages(version="1", telemetry_path="/metrics")).slices(
            kept, now, Query(), lambda _: None, ReloadStatus(successful=True, last_success=now.wall)
        )
    )

    assert [record.__dict__["fields"]["error"] for record in caplog.records] == [
        result.error.message
    ]
    assert result.error.message in html.unescape(page.decode())
