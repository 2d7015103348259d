"""Each broken set-up of docs/troubleshooting.md, on real sockets: its reason and its sentence."""

import pytest

from tests.support.broken_setups import SETUPS, Pki
from tests.support.cms_peer import connected
from tests.support.paths import ROOT

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
