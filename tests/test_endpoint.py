"""exporter.endpoint: every spelling of a URL leads to the same parts, which the client can use."""

import ipaddress
import socket

import httpx
import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import system_clock
from exporter.cms.requests import Requests
from exporter.endpoint import Endpoint, endpoint, host_name, proxy_endpoint, server_endpoint
from exporter.secret import Secret
from exporter.server import Server


@pytest.mark.parametrize(
    ("url", "origin", "authority", "server_name"),
    [
        ("https://lima.example", "https://lima.example", "lima.example", "lima.example"),
        ("HTTPS://LIMA.Example:443/", "https://lima.example", "lima.example", "lima.example"),
        ("https://lima:80", "https://lima:80", "lima:80", "lima"),
        ("HTTP://lima:0080", "http://lima", "lima", "lima"),
        ("http://lima:443", "http://lima:443", "lima:443", "lima"),
        ("https://lima.example.", "https://lima.example.", "lima.example.", "lima.example"),
        ("https://Limá.pe", "https://xn--lim-gla.pe", "xn--lim-gla.pe", "xn--lim-gla.pe"),
        (
            "https://10.22.26.181:8443",
            "https://10.22.26.181:8443",
            "10.22.26.181:8443",
            "10.22.26.181",
        ),
        ("https://[0:0::A]:8443", "https://[::a]:8443", "[::a]:8443", "::a"),
        (
            "https://[FE80::1%25Eth0]:8443",
            "https://[fe80::1%Eth0]:8443",
            "[fe80::1]:8443",
            "fe80::1",
        ),
        ("https://[fe80::1%eth0]", "https://[fe80::1%eth0]", "[fe80::1]", "fe80::1"),
    ],
)
def test_the_parts_do_not_depend_on_the_spelling(
    url: str, origin: str, authority: str, server_name: str
) -> None:
    """Case, default ports, international names and long addresses; a zone is nobody else's."""
    found = endpoint(url)
    assert (found.origin, found.authority, found.server_name) == (origin, authority, server_name)
    assert found.tls == url.lower().startswith("https:")
    assert endpoint(found.url) == found


def test_a_path_is_kept_as_it_is_written() -> None:
    """A server may tell %2f from /, and its signature is of the path as it is sent."""
    assert endpoint("https://LIMA/Gw/%c3%a9%2F//").path == "/Gw/%c3%a9%2F"


def test_a_password_is_not_shown() -> None:
    """Not even by a repr."""
    found = proxy_endpoint("http://user:c%40nary@proxy:3128")
    assert found.login == Secret("user:c%40nary")
    assert found.url == "http://proxy:3128"
    assert "nary" not in f"{found!r}{found.url}{found.address}"


def test_a_server_has_the_parts_of_its_url() -> None:
    """Computed once; two spellings are one server."""
    server = Server("HTTPS://Lima:443/gw/")
    assert server == Server("https://lima/gw")
    assert server.endpoint == Endpoint("https", "lima", 443, "/gw")
    assert (server.url, server.address) == ("https://lima/gw", "lima:443")


@pytest.mark.parametrize(
    "path",
    [
        "/rest/cmsapp",
        "/REST/CmsApp/",
        "/gw/rest/cmsapp/v1",
        "/rest/cmsapp/v1/openapi/agentgroup/",
        "/openapi/agentgroup",
        "/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos",
        "/rest/cmsapp/v1/openapi/agentgroup/agentrestinfo/",
    ],
)
def test_a_part_of_the_interfaces_path_would_be_sent_twice(path: str) -> None:
    """However much of it was copied from the vendor's page."""
    with pytest.raises(ValueError, match="must end before /rest/cmsapp"):
        server_endpoint(f"https://lima{path}")


def test_a_path_that_only_looks_like_the_interfaces_is_a_path() -> None:
    """A gateway may be called so."""
    assert server_endpoint("https://lima/rest/cmsapp2").path == "/rest/cmsapp2"


_TYPOS = st.text("0123456789abcx.:[]%@/-_é ?#\\", max_size=20)


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1]x:1",
        "https://[::1",
        "https://[10.0.0.1]",
        "https://[::1%25]",
        "https://::1",
        "https://lima:0",
        "https://lima:65536",
        "https://lima:",
        "https://lima:port",
        "https://",
        "https://a..b",
        "https://xn--a",
        "https://a_.b,c",
        "https://a\\b",
        f"https://{'a' * 64}.example",
        f"https://{'a.' * 127}example",
    ],
)
def test_no_host_or_no_port(url: str) -> None:
    """With an example of how it is written."""
    with pytest.raises(ValueError, match="must contain a valid host, and a port from 1 to 65535"):
        endpoint(url)


@pytest.mark.parametrize(
    "url", ["https://li ma", "https://lima\t", " https://lima", "https://lima/\u200b"]
)
def test_no_spaces(url: str) -> None:
    """Nor what looks like none: the client's library would drop some of them in silence."""
    with pytest.raises(ValueError, match=r"spaces or invisible|must start with"):
        endpoint(url)


@given(st.sampled_from(["http", "https", "HTTPS"]), _TYPOS | st.text(max_size=12))
def test_what_is_accepted_can_be_used(scheme: str, rest: str) -> None:
    """The client's libraries take it, read the same from it, and send the path as it is."""
    try:
        server = Server(server_endpoint(f"{scheme}://{rest}").url)
    except ValueError:
        return
    request = Requests(server, system_clock).make(b"{}", None)
    target = (server.endpoint.path + server.api.path).encode()
    assert request.extensions["target"] == target
    for url in (server.endpoint.origin, server.url):
        assert httpx.URL(url).port in {None, server.endpoint.port}
    dialled = yarl.URL(server.endpoint.origin + target.decode(), encoded=True)
    assert (dialled.raw_host, dialled.port) == (server.endpoint.host, server.endpoint.port)
    assert dialled.raw_path_qs == target.decode()
    # what the system's resolver would refuse before it asks anybody
    server.endpoint.host.encode("idna")


@given(st.lists(st.integers(0, 999), min_size=1, max_size=5))
def test_a_number_at_the_end_makes_an_address(parts: list[int]) -> None:
    """Four numbers up to 255, and nothing that inet_aton would make something else of."""
    text = ".".join(map(str, parts))
    if len(parts) == 4 and max(parts) < 256:
        assert host_name(text) == socket.inet_ntoa(socket.inet_aton(text))
    else:
        with pytest.raises(ValueError, match="not an IPv4 address"):
            endpoint(f"https://{text}:1")


@given(st.ip_addresses(v=6), st.sampled_from(["", "%25eth0", "%eth0"]))
def test_every_address_of_version_6(address: ipaddress.IPv6Address, zone: str) -> None:
    """In long form, with a zone or without."""
    found = endpoint(f"https://[{address.exploded}{zone}]:1")
    assert found.host == f"{address}{'%eth0' if zone else ''}"


@pytest.mark.parametrize(
    "text", ["::1", "[::1", "[lima]", "[::1%]", "[::1%25]", "a..b", "-a", "a/b", "a b", "a@b", ""]
)
def test_what_is_no_host(text: str) -> None:
    """Brackets are for version 6 alone, and required there."""
    assert host_name(text) is None
