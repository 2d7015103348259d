"""Names on a DNS server of the test's own: answers, silence, and what a dead name costs others."""

import asyncio
import time

import pytest

from exporter.clock import system_clock
from exporter.cms.client import CmsClient
from exporter.cms.transport import Transport
from exporter.errors import Reason
from exporter.polling.poller import Poller
from exporter.secret import Secret
from exporter.server import Server
from exporter.store import Target, TargetKey
from tests.support.cms_peer import Step, answer, connected, failed, http, listening, read
from tests.support.dns_peer import naming
from tests.support.stores import store_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.both_loops,
]  # c-ares calls back from a thread of its own

GOOD = Step(http(answer(1, resting=1)))
HERE = "127.0.0.1"


async def test_an_answer_is_used_for_its_ttl() -> None:
    """Each new connection looks the name up, and the DNS server is asked once."""
    async with (
        naming({"cms.test": HERE}) as dns,
        listening(GOOD) as peer,
        connected(f"http://cms.test:{peer.port}", nameservers=[f"127.0.0.1:{dns.port}"]) as client,
    ):
        for _ in range(3):
            read(await client.poll(1, 1))
            client.drop_idle()

    assert peer.connections == 3
    assert dns.asked == ["cms.test"]


async def test_after_its_ttl_a_name_is_looked_up_again() -> None:
    """A failover moves the name to another machine: the next connection goes there."""
    addresses: dict[str, str | None] = {"cms.test": HERE}
    async with (
        naming(addresses, ttl=1) as dns,
        listening(GOOD) as peer,
        connected(f"http://cms.test:{peer.port}", nameservers=[f"127.0.0.1:{dns.port}"]) as client,
    ):
        read(await client.poll(1, 1))
        client.drop_idle()
        await asyncio.sleep(2.1)
        addresses["cms.test"] = None
        error = failed(await client.poll(1, 1))

    assert dns.asked == ["cms.test", "cms.test"]
    assert (error.reason, error.message) == (
        Reason.DNS,
        "the name cms.test cannot be resolved: check the host in url, and this host's DNS",
    )


async def test_the_hosts_file_needs_no_dns() -> None:
    """`localhost` stands in it, while DNS is silent."""
    async with (
        naming({}) as dns,
        listening(GOOD) as peer,
        connected(f"http://localhost:{peer.port}", nameservers=[f"127.0.0.1:{dns.port}"]) as client,
    ):
        read(await client.poll(1, 1))

    assert dns.asked == []


async def test_search_domains_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the C library does; LOCALDOMAIN overrides those of /etc/resolv.conf."""
    monkeypatch.setenv("LOCALDOMAIN", "floor.test")
    async with (
        naming({"cms.floor.test": HERE, "cms": None}) as dns,
        listening(GOOD) as peer,
        connected(f"http://cms:{peer.port}", nameservers=[f"127.0.0.1:{dns.port}"]) as client,
    ):
        read(await client.poll(1, 1))

    assert "cms.floor.test" in dns.asked


@pytest.mark.parametrize("proxied", [False, True])
async def test_silence_is_the_fault_of_dns(*, proxied: bool) -> None:
    """Not a timeout of the server, which was never asked."""
    async with (
        naming({}) as dns,
        connected(
            "http://127.0.0.1:1" if proxied else "http://dead.test",
            nameservers=[f"127.0.0.1:{dns.port}"],
            timeout=0.3,
            proxy_url=Secret("http://dead.test:3128") if proxied else None,
        ) as client,
    ):
        error = failed(await client.poll(1, 1))

    proxy = "of the proxy http://dead.test:3128 (from proxy_url)"
    assert (error.reason, error.message) == (
        Reason.DNS,
        (
            f"no name server answered for the name {proxy if proxied else 'dead.test'}: check the "
            "name servers in /etc/resolv.conf, and firewalls in between"
        ),
    )


async def test_dropped_questions_for_ipv6_hold_nobody_up() -> None:
    """Some firewalls and old name servers drop them; the IPv4 address is known all the same."""
    async with (
        naming({"cms.test": HERE}, ipv4_only=True) as dns,
        listening(GOOD) as peer,
        connected(
            f"http://cms.test:{peer.port}", nameservers=[f"127.0.0.1:{dns.port}"], timeout=5.0
        ) as client,
    ):
        started = time.monotonic()
        read(await client.poll(1, 1))

    assert time.monotonic() - started < 3


@pytest.mark.filterwarnings("error")
async def test_late_failures_of_a_lookup_are_nobodys() -> None:
    """IPv4 alone does not exist either: the answer for both counts, and nothing is left over."""
    addresses: dict[str, str | None] = {}
    async with (
        naming(addresses) as dns,
        connected("http://cms.test", nameservers=[f"127.0.0.1:{dns.port}"], timeout=9.0) as client,
    ):
        poll = asyncio.create_task(client.poll(1, 1))
        await asyncio.sleep(0.7)
        addresses["cms.test"] = None
        error = failed(await poll)

    assert error.message.startswith("the name cms.test cannot be resolved")


async def test_a_name_server_that_refuses_is_told_at_once() -> None:
    """Nothing listens there."""
    async with (
        naming({}) as dns,
        connected("http://dead.test", nameservers=["127.0.0.1:1"], timeout=20.0) as client,
    ):
        error = failed(await client.poll(1, 1))

    assert dns.asked == []
    assert error.reason is Reason.DNS
    assert error.message.startswith("no name server answered for the name dead.test")


async def test_dead_names_cost_a_healthy_server_nothing() -> None:
    """Six servers whose names get no answer, and one that is well; all of them stop at once."""
    async with naming({"cms.test": HERE}) as dns, listening(GOOD) as peer:
        names = ["cms", *(f"dead{number}" for number in range(6))]
        servers = [
            Server(
                f"http://{name}.test:{peer.port}",
                name=name,
                interval=0.5,
                # a busy machine may be slow; a dead name is told by its deadline
                timeout=5.0 if name == "cms" else 0.4,
                max_concurrency=8,
            )
            for name in names
        ]
        targets = [Target(TargetKey(name, 1, vdn)) for name in names for vdn in range(1, 9)]
        store = store_of(targets, names)
        tasks = []
        for server in servers:
            transport = Transport(server, {}, [f"127.0.0.1:{dns.port}"])
            client = CmsClient(server, transport, system_clock)
            keys = [target.key for target in targets if target.key.cms == server.name]
            tasks.append(asyncio.create_task(Poller(client, keys, store, system_clock).run()))
        await asyncio.sleep(3)
        started = time.monotonic()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stopped = time.monotonic() - started

    healthy = [state for state in store.states() if state.target.key.cms == "cms"]
    assert all(state.polls >= 3 and state.failures == 0 for state in healthy)
    dead = [state for state in store.states() if state.target.key.cms != "cms"]
    assert {state.failure and state.failure.reason for state in dead} == {Reason.DNS}
    assert stopped < 1
