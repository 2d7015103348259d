"""`healthcheck`: what a container engine learns of the exporter beside it."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme

from exporter.cli import main
from tests.support.processes import free_port

HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
STALLED = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 40\r\n\r\n"
    b"The schedule has stalled for lima.\nmore.\n"
)


@contextlib.contextmanager
def answering(reply: bytes | None, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers every request with `reply`, or never with None. Gives its port."""
    done = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):  # the listening socket is shut down to end this
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    answer(tls.wrap_socket(connection, server_side=True) if tls else connection)

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            if reply is None:
                done.wait()
            else:
                connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, and a line for who asked by hand."""
    with answering(HEALTHY) as port:
        url = f"http://127.0.0.1:{port}/-/healthy"
        assert main(["healthcheck", f"--url={url}"]) == 0
    assert capsys.readouterr() == (f"{url}: healthy\n", "")


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (STALLED, "status 503: The schedule has stalled for lima."),
        (
            b"HTTP/1.1 301 Moved Permanently\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
            "status 301: Moved Permanently",
        ),
        (b"SSH-2.0-x\r\n", "no HTTP reply: check the port, and whether the exporter serves https"),
        (b"", "no HTTP reply: check the port, and whether the exporter serves https"),
        (None, "no reply within 200ms"),
    ],
    ids=["unhealthy", "elsewhere", "another protocol", "silence", "hanging"],
)
def test_not_healthy(reply: bytes | None, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, and one line that says why."""
    timeout = "200ms" if reply is None else "30s"
    with answering(reply) as port:
        url = f"http://127.0.0.1:{port}/-/healthy"
        assert main(["healthcheck", f"--url={url}", f"--timeout={timeout}"]) == 1
    assert capsys.readouterr() == ("", f"{url}: {problem}\n")


def test_nothing_listens(capsys: pytest.CaptureFixture[str]) -> None:
    """The commonest failure: another port, or no exporter."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/-/healthy"
    assert main(["healthcheck", f"--url={url}"]) == 1
    assert capsys.readouterr().err == (
        f"{url}: no connection (Connection refused): check that the exporter is running and "
        "listens on this port\n"
    )


def test_no_such_host(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that the resolver does not know: `.invalid` never is (RFC 6761)."""
    assert main(["healthcheck", "--url=http://exporter.invalid/-/healthy"]) == 1
    assert capsys.readouterr().err == (
        "http://exporter.invalid/-/healthy: the host name 'exporter.invalid' cannot be resolved\n"
    )


def test_https_takes_any_certificate() -> None:
    """127.0.0.1 is in nobody's certificate, and an exporter with TLS is healthy all the same."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("exporter.example").configure_cert(context)
    with answering(HEALTHY, context) as port:
        assert main(["healthcheck", f"--url=https://127.0.0.1:{port}/-/healthy"]) == 0


def test_https_to_http(capsys: pytest.CaptureFixture[str]) -> None:
    """The check was told of TLS, the exporter was not."""
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        url = f"https://127.0.0.1:{port}/-/healthy"
        assert main(["healthcheck", f"--url={url}"]) == 1
    assert capsys.readouterr().err == (
        f"{url}: the TLS handshake failed: check that it serves https without a client "
        "certificate\n"
    )


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        *(
            (
                f"--url={url}",
                "--url: not a URL: write it like http://127.0.0.1:10072/-/healthy",
            )
            for url in (
                "127.0.0.1:10072",
                "ftp://host/",
                "http://",
                "http://a b/",
                "http://ho\nst",
                "http://host:99999/",
                "http://[host]/",
            )
        ),
        (
            "--url=http://user:word@host/",
            "--url: the health page needs no password: leave out the part before the @",
        ),
        ("--timeout=0", "--timeout: must be above 0"),
        ("--timeout=3", "--timeout: not a duration: write it as 30s, 1m30s or 500ms"),
    ],
)
def test_usage(argument: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, as for every command."""
    assert main(["healthcheck", argument]) == 2
    assert capsys.readouterr().err == (
        f"agent-rest-exporter healthcheck: invalid value for {problem}; see agent-rest-exporter "
        "healthcheck --help\n"
    )


def test_a_reply_that_trickles_in(capsys: pytest.CaptureFixture[str]) -> None:
    """The timeout is for all of it: a byte in time is not enough."""
    ended = threading.Event()

    def trickle(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b"HTTP/1.1 200 OK\r\n"[:1])

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle, args=[server])
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/-/healthy"
            assert main(["healthcheck", f"--url={url}", "--timeout=300ms"]) == 1
        finally:
            ended.set()
            thread.join()
    assert capsys.readouterr().err == f"{url}: no reply within 300ms\n"


def test_https_that_wants_a_certificate(capsys: pytest.CaptureFixture[str]) -> None:
    """The check has none: the sentence says where to look."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("exporter.example").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with answering(HEALTHY, context) as port:
        url = f"https://127.0.0.1:{port}/-/healthy"
        assert main(["healthcheck", f"--url={url}"]) == 1
    assert capsys.readouterr().err == (
        f"{url}: the TLS handshake failed: check that it serves https without a client "
        "certificate\n"
    )
