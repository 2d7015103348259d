"""Passwords: off the loop, one at a time, not again for each scrape, and no name given away."""

import asyncio
import base64
import subprocess
import threading
from pathlib import Path

import bcrypt
import pytest
import trustme

from exporter.secret import Secret
from exporter.webconfig.guard import BusyError, Passwords, credentials
from exporter.webconfig.web_config import LiveWebConfig
from tests.support.processes import program, query, scraping_prometheus, until
from tests.support.web_config import PATIENCE, ask, chain, connected, key, served

pytestmark = pytest.mark.anyio

SALT = b"salt of the tests"
USERS = {"alice": Secret("hash-a"), "bob": Secret("hash-b")}
CHALLENGE = 'Basic realm="agent-rest-exporter", charset="UTF-8"'


def hashed(password: str, cost: int = 4) -> str:
    """A real hash, cheap unless told otherwise."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def basic(name: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class Compared:
    """Stands in for bcrypt: `right-a` fits `hash-a`. Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes]] = []
        self.threads: set[int] = set()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.asked.append((password, hashed))
        self.threads.add(threading.get_ident())
        assert self.go_on.wait(PATIENCE)
        return password.removeprefix(b"right-") == hashed.removeprefix(b"hash-")


async def test_a_right_password_is_compared_once() -> None:
    """And not on the event loop's thread."""
    compare = Compared()
    passwords = Passwords(SALT, compare)
    for _ in range(5):
        assert await passwords.verify(USERS, "alice", b"right-a")
    assert compare.asked == [(b"right-a", b"hash-a")]
    assert threading.get_ident() not in compare.threads


async def test_a_wrong_password_is_compared_each_time() -> None:
    """It is not remembered, so that nobody who guesses fills the memory."""
    compare = Compared()
    passwords = Passwords(SALT, compare)
    assert await passwords.verify(USERS, "alice", b"right-a")
    for _ in range(3):
        assert not await passwords.verify(USERS, "alice", b"right-b")
    assert len(compare.asked) == 4
    assert await passwords.verify(USERS, "alice", b"right-a")
    assert len(compare.asked) == 4


async def test_an_unknown_user_costs_the_same() -> None:
    """One comparison with a real hash, always the same one; and never a yes."""
    compare = Compared()
    passwords = Passwords(SALT, compare)
    for password in (b"right-a", b"right-b", b"wrong"):
        assert not await passwords.verify(USERS, "mallory", password)
    assert len(compare.asked) == 3
    assert len({hashed for _, hashed in compare.asked}) == 1
    spread = {name: Passwords(SALT, compare)._stand_in(USERS, name) for name in map(str, range(20))}  # noqa: SLF001 - which one is not seen from outside
    assert set(spread.values()) == set(USERS.values())


async def test_a_new_hash_is_compared_anew() -> None:
    """After a reload the old password is of no use."""
    compare = Compared()
    passwords = Passwords(SALT, compare)
    assert await passwords.verify(USERS, "alice", b"right-a")
    changed = {"alice": Secret("hash-new")}
    assert not await passwords.verify(changed, "alice", b"right-a")
    assert await passwords.verify(changed, "alice", b"right-new")
    assert not await passwords.verify({"bob": Secret("hash-b")}, "alice", b"right-new")


async def test_who_is_gone_is_forgotten() -> None:
    """However often users come and go."""
    passwords = Passwords(SALT, Compared())
    for number in range(10):
        users = {f"user-{number}": Secret("hash-a")}
        assert await passwords.verify(users, f"user-{number}", b"right-a")
    assert list(passwords._verified) == ["user-9"]  # noqa: SLF001 - memory is not seen from outside


async def test_a_removed_user_who_shared_a_hash_does_not_get_in() -> None:
    """What was remembered of the one is of no use with the hash of the other."""
    compare = Compared()
    passwords = Passwords(SALT, compare)
    both = {"alice": Secret("hash-a"), "bob": Secret("hash-a")}
    for name in both:
        assert await passwords.verify(both, name, b"right-a")
    left = {"bob": Secret("hash-a")}
    for _ in range(2):
        assert not await passwords.verify(left, "alice", b"right-a")
        assert await passwords.verify(left, "bob", b"right-a")
    assert len(compare.asked) == 4, "the removed user costs a comparison each time, like any other"


async def test_scrapes_that_come_together_share_one_comparison() -> None:
    """The first one pays, the others wait for it."""
    compare = Compared()
    passwords = Passwords(SALT, compare)
    answers = await asyncio.gather(
        *(passwords.verify(USERS, "alice", b"right-a") for _ in range(20))
    )
    assert all(answers)
    assert len(compare.asked) == 1


async def test_too_many_guesses_are_turned_away() -> None:
    """A flood of guesses takes one thread and a bounded queue, and the right password passes it."""
    compare = Compared()
    passwords = Passwords(SALT, compare, most_waiting=3)
    assert await passwords.verify(USERS, "alice", b"right-a")
    compare.go_on.clear()
    guesses = [
        asyncio.create_task(passwords.verify(USERS, "bob", b"guess-%d" % number))
        for number in range(3)
    ]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await passwords.verify(USERS, "bob", b"right-b")
    assert await passwords.verify(USERS, "alice", b"right-a")
    other = asyncio.create_task(passwords.verify(USERS, "bob", b"right-b", "another client"))
    compare.go_on.set()
    assert await other
    assert len(compare.asked) <= 4  # before the last guesses
    assert not any(await asyncio.gather(*guesses))
    assert await passwords.verify(USERS, "bob", b"right-b")


async def test_guesses_of_clients_that_hang_up_are_compared_one_at_a_time() -> None:
    """A thread cannot be stopped: its turn lasts as long as it does."""
    compare = Compared()
    compare.go_on.clear()
    passwords = Passwords(SALT, compare)
    for number in range(10):
        guess = asyncio.create_task(passwords.verify(USERS, "alice", b"wrong-%d" % number, "here"))
        await asyncio.sleep(0.01)
        guess.cancel()
        await asyncio.sleep(0.01)
    assert len(compare.asked) == 1
    compare.go_on.set()
    assert await passwords.verify(USERS, "alice", b"right-a", "there")
    assert compare.asked == [(b"wrong-0", b"hash-a"), (b"right-a", b"hash-a")]


async def test_real_hashes() -> None:
    """Of every version and of several costs; 72 bytes count, as with the tools that make them."""
    long = "x" * 72
    hashes = {
        "2a": hashed("pässword").replace("$2b$", "$2a$"),
        "2y": hashed("pässword", 6).replace("$2b$", "$2y$"),
        "2b": hashed("pässword", 5),
    }
    passwords = Passwords(SALT)
    users = {name: Secret(text) for name, text in hashes.items()}
    for name in users:
        assert await passwords.verify(users, name, "pässword".encode())
        assert not await passwords.verify(users, name, b"password")
        assert not await passwords.verify(users, name, b"")
    users = {"long": Secret(hashed(long))}
    assert await passwords.verify(users, "long", long.encode())
    assert await passwords.verify(users, "long", long.encode() + b"more")
    assert not await passwords.verify(users, "long", long.encode()[:-1])


async def test_what_bcrypt_refuses_is_wrong() -> None:
    """Some releases refuse bytes that others take."""

    def refuse(_password: bytes, _hashed: bytes) -> bool:
        raise ValueError

    assert not await Passwords(SALT, refuse).verify(USERS, "alice", b"a\0b")


@pytest.mark.parametrize(
    ("header", "given"),
    [
        (basic("alice", "a:b"), ("alice", b"a:b")),
        ("bAsIc " + base64.b64encode(b":").decode(), ("", b"")),
        ("Basic  " + base64.b64encode(b"a:\xff").decode(), ("a", b"\xff")),
        ("", None),
        ("Basic", None),
        ("Bearer YTpi", None),
        ("Basic YTpi!", None),
        ("Basic Y", None),
        ("Basic \udcff", None),
        ("Basic " + base64.b64encode(b"alice").decode(), None),
        ("Basic " + base64.b64encode(b"\xff:a").decode(), None),
    ],
)
async def test_credentials(header: str, given: tuple[str, bytes] | None) -> None:
    """What clients send, and what it comes to."""
    assert credentials(header) == given


@pytest.fixture
def configuration(tmp_path: Path) -> LiveWebConfig:
    """One user and all headers, without TLS."""
    path = tmp_path / "web.yaml"
    path.write_text(
        f"basic_auth_users:\n  alice: {hashed('secret')}\n"
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 1\n",
        encoding="utf-8",
    )
    return LiveWebConfig(path)


async def test_pages_need_a_password(configuration: LiveWebConfig) -> None:
    """Also those that do not exist. Health needs none; headers are on every answer."""
    async with served(configuration) as port, connected(port) as connection:
        for path in ("/metrics", "/nowhere", "/-/healthy/", "/-/reload"):
            refusal = await connection.get(path)
            assert (refusal.status, refusal.headers["WWW-Authenticate"]) == (401, CHALLENGE)
            assert refusal.body == "401: user name and password required.\n"
            assert refusal.headers["X-XSS-Protection"] == "1"
        for path in ("/-/healthy", "/-/ready"):
            assert (await connection.get(path)).body == "fine\n"
        for name, password in [("alice", "wrong"), ("bob", "secret"), ("Alice", "secret")]:
            assert (await connection.get("/metrics", basic(name, password))).status == 401
        reply = await connection.get("/metrics", basic("alice", "secret"))
        assert (reply.status, reply.body) == (200, "canary_metric 1\n")
        assert reply.headers["X-Frame-Options"] == "deny"
        assert (await connection.get("/nowhere", basic("alice", "secret"))).status == 404


async def test_a_flood_of_guesses_is_told_so(configuration: LiveWebConfig) -> None:
    """They shall come back later."""
    async with served(configuration, passwords=Passwords(SALT, most_waiting=0)) as port:
        reply = await ask(port, authorization=basic("alice", "secret"))
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    assert reply.body == "503: too many password checks are waiting; try again.\n"


async def test_without_users_everybody_may_read(tmp_path: Path) -> None:
    """A file of headers alone asks for no password."""
    path = tmp_path / "web.yaml"
    path.write_text("basic_auth_users: {}\n", encoding="utf-8")
    async with served(LiveWebConfig(path)) as port:
        assert (await ask(port)).status == 200


def secured(folder: Path) -> tuple[LiveWebConfig, trustme.CA]:
    """TLS with client certificates, and a password beside them."""
    ca = trustme.CA()
    server, client = ca.issue_cert("localhost", "127.0.0.1"), ca.issue_cert("prometheus.example")
    for name, content in {
        "ca.pem": ca.cert_pem.bytes(),
        "server.pem": chain(server),
        "server.key": key(server),
        "client.pem": chain(client),
        "client.key": key(client),
        "web.yaml": (
            "tls_server_config:\n"
            "  cert_file: server.pem\n"
            "  key_file: server.key\n"
            "  client_auth_type: RequireAndVerifyClientCert\n"
            "  client_ca_file: ca.pem\n"
            "  client_allowed_sans: [prometheus.example]\n"
            "basic_auth_users:\n"
            f"  alice: {hashed('secret')}\n"
        ).encode(),
    }.items():
        (folder / name).write_bytes(content)
    return LiveWebConfig(folder / "web.yaml"), ca


@pytest.mark.real
async def test_curl(tmp_path: Path) -> None:
    """Right, wrong and without: password, certificate of the client, CA of the server."""
    curl = program("curl", "curl")
    live, _ = secured(tmp_path)
    certificate = ["--cert", "client.pem", "--key", "client.key"]
    silent = ["-qsS", "-w", "%{http_code}", "-o", "/dev/null", "--noproxy", "*"]

    async def run(*arguments: str, path: str = "/metrics") -> tuple[int, str]:
        result = await asyncio.to_thread(
            subprocess.run,
            [curl, *silent, *arguments, f"https://127.0.0.1:{port}{path}"],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            text=True,
            timeout=60,
        )
        return result.returncode, result.stdout

    async with served(live) as port:
        trusting = ["--cacert", "ca.pem", *certificate]
        assert await run(*trusting, "-u", "alice:secret") == (0, "200")
        assert await run(*trusting, "-u", "alice:Secret") == (0, "401")
        assert await run(*trusting, "-u", "bob:secret") == (0, "401")
        assert await run(*trusting) == (0, "401")
        assert await run(*trusting, path="/-/healthy") == (0, "200")
        status, code = await run("--cacert", "ca.pem", "-u", "alice:secret")
        assert status in {35, 56}, "no certificate: TLS ends the connection"
        assert code == "000"
        assert await run(*certificate, "-u", "alice:secret") == (60, "000")


@pytest.mark.real
async def test_prometheus(tmp_path: Path) -> None:
    """A real one with the right password is up, one with the wrong password is not."""
    live, _ = secured(tmp_path)
    async with served(live) as port:

        def job(name: str, password: str, *, certificate: bool = True) -> str:
            files = f"ca_file: {tmp_path}/ca.pem"
            if certificate:
                files += f", cert_file: {tmp_path}/client.pem, key_file: {tmp_path}/client.key"
            return (
                f"  - job_name: {name}\n    scrape_interval: 500ms\n    scrape_timeout: 500ms\n"
                f"    scheme: https\n    basic_auth: {{username: alice, password: {password}}}\n"
                f"    tls_config: {{{files}}}\n"
                f"    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
            )

        config = "scrape_configs:\n" + job("right", "secret") + job("wrong", "Secret")
        config += job("bare", "secret", certificate=False)
        async with scraping_prometheus(tmp_path / "prometheus", config) as client:

            async def settled() -> bool:
                # on a busy machine any scrape can time out
                targets = (await client.get("/api/v1/targets")).json()["data"]["activeTargets"]
                errors = {target["labels"]["job"]: target["lastError"] for target in targets}
                up = {
                    dict(labels)["job"]: value
                    for labels, value in (await query(client, "up")).items()
                }
                return (
                    up == {"right": 1.0, "wrong": 0.0, "bare": 0.0}
                    and errors["right"] == ""
                    and errors["wrong"] == "server returned HTTP status 401 Unauthorized"
                    and "remote error: tls:" in errors["bare"]
                    and await query(client, "canary_metric") != {}
                )

            await until(settled)
