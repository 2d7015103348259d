"""A refused signature is explained by trying the other ways to sign, each once."""

import pytest

from exporter.clock import system_clock
from exporter.inspection.diagnosis import explain_refusal
from exporter.secret import Secret
from exporter.server import Server, Signature
from tests.support.cms_peer import connected, serving
from tests.support.picky_server import PING, Picky

pytestmark = pytest.mark.anyio

KEYS = Signature(Secret("AK1"), Secret("sk"))


async def explained(picky: Picky, auth: Signature | None = KEYS) -> str | None:
    """The sentence for one poll of it."""
    async with serving(picky.converse) as picky.port:
        url = f"http://127.0.0.1:{picky.port}"
        async with connected(url, auth=auth) as client:
            result = await client.poll(1, 1)
        server = Server(url, auth=auth)
        sentence = await explain_refusal(server, result, (1, 1), {}, system_clock)
    return sentence and sentence.replace(str(picky.port), "PORT")


@pytest.mark.parametrize(
    ("picky", "sentence"),
    [
        (
            Picky(query=("",)),
            "the server accepts the signature with auth.empty_query_line: true: set it",
        ),
        (
            Picky(lambda _port: "127.0.0.1"),
            'the server accepts the signature with host_header: "127.0.0.1": set it',
        ),
        (
            Picky(key="other", ping="200 OK"),
            (
                "the server accepts the signature of the vendor's ping, so the keys are right: "
                "check api, and the rights of the access key"
            ),
        ),
        (
            Picky(key="other", ping="401 Unauthorized"),
            (
                "the server refuses every variant of the signature (empty query line, Host without "
                "and with the port), and the vendor's ping returns HTTP 401: check access_key and "
                "secret_key"
            ),
        ),
    ],
    ids=["empty query line", "host without port", "rights", "keys"],
)
async def test_a_refusal_is_explained(picky: Picky, sentence: str) -> None:
    """By the variant that passes, if one does."""
    assert await explained(picky) == sentence
    assert len(picky.paths) <= 4
    assert picky.paths.count(PING) <= 1


@pytest.mark.parametrize(
    ("picky", "auth"),
    [(Picky(), KEYS), (Picky(key="other", skew=600.0), KEYS)],
    ids=["no refusal", "the clocks differ"],
)
async def test_nothing_is_tried_where_the_cause_is_known(picky: Picky, auth: Signature) -> None:
    """One request, the poll's own."""
    assert await explained(picky, auth) is None
    assert len(picky.paths) == 1


async def test_a_server_that_is_gone_meanwhile_is_told() -> None:
    """The ping gets no reply."""
    picky = Picky(key="other")
    async with serving(picky.converse) as picky.port:
        url = f"http://127.0.0.1:{picky.port}"
        async with connected(url, auth=KEYS) as client:
            result = await client.poll(1, 1)

    sentence = await explain_refusal(Server(url, auth=KEYS), result, (1, 1), {}, system_clock)

    assert sentence is not None
    assert "the vendor's ping does not answer" in sentence
