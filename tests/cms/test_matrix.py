"""Each broken set-up of docs/troubleshooting.md, on real sockets: its reason and its sentence."""

import html
import logging

import pytest

from exporter.clock import system_clock
from exporter.polling.failure_log import FailureLog
from exporter.store import Target, TargetKey
from exporter.web.status_page import StatusPage
from exporter.web.target_query import Query
from tests.support.broken_setups import SETUPS, Pki
from tests.support.cms_peer import connected
from tests.support.paths import ROOT
from tests.support.stores import store_of

pytestmark = pytest.mark.anyio

HEADER = "| what is wrong | reason | message |"


@pytest.fixture
def anyio_backend(both_loops: tuple[str, dict[str, bool]]) -> tuple[str, dict[str, bool]]:
    """Every set-up is told apart on either loop."""
    return both_loops


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """The certificates of all set-ups."""
    return Pki(tmp_path_factory.mktemp("pki"))


def documented() -> dict[str, tuple[str, str]]:
    """The reason and the message of each set-up, as the document has them."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    _, _, table = text.partition(f"\n{HEADER}\n")
    rows = {}
    for line in table.splitlines()[1:]:
        if not line.startswith("|"):
            break
        name, reason, message = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = reason.strip("`"), message
    return rows


def test_the_document_has_every_set_up() -> None:
    """And no others, in the same order."""
    assert list(documented()) == list(SETUPS)


@pytest.mark.parametrize("name", SETUPS)
async def test_a_broken_set_up(name: str, pki: Pki) -> None:
    """It is told apart from every other, and the message names what to change or where to look."""
    async with SETUPS[name](pki) as case, connected(case.url, **case.facts) as client:
        result = await client.poll(1, 1)

    if result.error is not None:
        outcome = result.error.reason.value, case.shown(result.error.message)
    else:
        assert result.snapshot is not None
        doubt = result.snapshot.doubts[0]
        outcome = f"doubt {doubt}", doubt.sentence
    assert outcome == documented()[name]


async def test_log_and_page_have_the_same_message(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither words it again, so what is said above holds for both."""
    target = Target(TargetKey("lima", 1, 1))
    store = store_of([target])
    async with (
        SETUPS["login page instead of a reply"](pki) as case,
        connected(case.url, **case.facts) as client,
    ):
        result = await client.poll(1, 1)
    assert result.error is not None

    caplog.set_level(logging.INFO, "exporter.polling.failure_log")
    before = store.state(target.key)
    store.record(before.after(result))
    FailureLog("lima").note(before, store.state(target.key), result)
    page = b"".join(
        StatusPage(version="1", telemetry_path="/metrics").slices(
            store, system_clock(), Query(), lambda _: None
        )
    )

    assert [record.__dict__["fields"]["error"] for record in caplog.records] == [
        result.error.message
    ]
    assert result.error.message in html.unescape(page.decode())
