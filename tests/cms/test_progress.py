"""The steps of a poll that is watched, on real sockets; and that no other poll knows of them."""

import re
import ssl
from pathlib import Path

import pytest
import trustme

from exporter.cms.client import CmsClient
from exporter.cms.connections import Exchange, Phase
from exporter.cms.progress import Steps
from exporter.errors import PollResult, Reason
from exporter.server import Tls
from tests.support.cms_peer import Step, answer, connected, failed, http, listening, read
from tests.support.processes import free_port

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # the loops dial and shake hands in code of their own


async def watched(client: CmsClient) -> tuple[PollResult, list[tuple[str, str]]]:
    """A poll, and its steps with any port as PORT."""
    told: list[tuple[str, str]] = []

    def note(name: str, text: str) -> None:
        told.append((name, re.sub(r":\d+$", ":PORT", text)))

    steps = Steps(note)
    result = await client.poll(1, 1, decode=steps.decode, exchange=steps.exchange)
    return result, told


WAIT = ("wait", "send the request and wait for the reply")
READ = ("read", "read the reply")


async def test_every_step_of_a_poll_over_tls(tmp_path: Path) -> None:
    """A name, a connection, a handshake: also if there is a connection that could be used."""
    ca = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    body = answer(1, resting=1)
    async with (
        listening(Step(http(body)), tls=context) as peer,
        connected(f"https://localhost:{peer.port}", tls=Tls(ca_file=ca_file)) as client,
    ):
        read(await client.poll(1, 1))
        await client.rested()
        result, steps = await watched(client)

        assert read(result).snapshot.resting == 1
        assert peer.connections == 2
    # ::1 may be tried and refused first
    tries = [step for step in steps if step == ("connect", "connect to [::1]:PORT")]
    assert [step for step in steps if step not in tries] == [
        ("sign", "prepare request 1"),
        ("name", "look up localhost"),
        ("connect", "connect to 127.0.0.1:PORT"),
        ("tls", "shake hands"),
        WAIT,
        READ,
        ("reduce", f"decode {len(body)} bytes"),
        ("reduce", "reconcile 1 rows with the counters"),
    ]


async def test_each_page_is_told() -> None:
    """With plain HTTP there is no handshake, and with an address no name."""
    pages = [answer(*range(1, 3), resting=3), answer(3, resting=3)]
    async with (
        listening(*(Step(http(page)) for page in pages)) as peer,
        connected(f"http://127.0.0.1:{peer.port}", page_size=2) as client,
    ):
        _, steps = await watched(client)

    assert [name for name, _ in steps] == [
        "sign",
        "connect",
        "wait",
        "read",
        "reduce",
        "reduce",
    ] * 2
    assert ("sign", "prepare request 2") in steps


async def test_a_poll_that_fails_ends_in_the_step_that_failed() -> None:
    """Here nobody listens."""
    async with connected(f"http://127.0.0.1:{free_port()}") as client:
        result, steps = await watched(client)

    assert failed(result).reason is Reason.CONNECT
    assert steps[-1] == ("connect", "connect to 127.0.0.1:PORT")


async def test_a_poll_that_hangs_is_named_as_ever() -> None:
    """The sentence comes from what was told: here the reply does not come."""
    async with (
        listening(Step(then="hang")) as peer,
        connected(f"http://127.0.0.1:{peer.port}", timeout=1.0) as client,
    ):
        result, steps = await watched(client)

    assert failed(result).message.startswith("no complete reply from 127.0.0.1:")
    assert steps[-1] == WAIT


def test_an_exchange_that_is_told_knows_what_it_told() -> None:
    """For the sentences about failures, which read it."""
    exchange = Steps(lambda *_: None).exchange(lambda _: None, fresh=False, single_use=True)
    exchange.reached(Phase.RESOLVING, "cms.example.com")
    exchange.received(b"\x15")
    exchange.received(b"\x03")

    assert (exchange.phase, exchange.peer) == (Phase.RESOLVING, "cms.example.com")
    assert exchange.spoke_tls
    assert (exchange.fresh, exchange.single_use) == (True, True)


def test_each_phase_is_told_as_it_is_reached() -> None:
    """Each address that is tried, but a handshake once, and only the beginning of the reply."""
    told: list[tuple[str, str]] = []
    steps = Steps(lambda name, text: told.append((name, text)))
    exchange = steps.exchange(lambda _: None, fresh=False, single_use=True)
    exchange.reached(Phase.RESOLVING, "cms.example.com")
    exchange.reached(Phase.CONNECTING, "[2001:db8::1]:443")
    exchange.reached(Phase.CONNECTING, "192.0.2.1:443")
    exchange.reached(Phase.TUNNEL)
    exchange.reached(Phase.HANDSHAKE)
    exchange.reached(Phase.HANDSHAKE)
    exchange.reached(Phase.ASKED)
    exchange.received(b"HT")
    exchange.received(b"TP/1.1")

    assert told == [
        ("sign", "prepare request 1"),
        ("name", "look up cms.example.com"),
        ("connect", "connect to [2001:db8::1]:443"),
        ("connect", "connect to 192.0.2.1:443"),
        ("tls", "shake hands"),
        WAIT,
        READ,
    ]
    assert (exchange.phase, exchange.peer, exchange.first_bytes) == (Phase.ASKED, "", b"HTTP/")


async def test_other_polls_make_plain_exchanges(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a poll of the schedule costs has not changed."""
    kinds: list[type] = []
    made = Exchange.__init__

    def count(self: Exchange, *args: object, **kwargs: object) -> None:
        kinds.append(type(self))
        made(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Exchange, "__init__", count)
    async with (
        listening(Step(http(answer(1, resting=1)))) as peer,
        connected(f"http://127.0.0.1:{peer.port}") as client,
    ):
        read(await client.poll(1, 1))
        await watched(client)

    plain, told = kinds
    assert plain is Exchange
    assert issubclass(told, Exchange)
    assert told is not Exchange
