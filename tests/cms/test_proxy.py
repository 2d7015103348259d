"""exporter.cms.proxy: which proxy leads to a server, and where it came from."""

import base64
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.proxy import ChosenProxy, ProxyAddressError, chosen_proxy
from exporter.secret import Secret
from exporter.server import Server

URL = "https://10.22.26.181:28443"
PROXY = "http://proxy.example.com:3128"
INVALID = (
    "must contain a valid host, and a port from 1 to 65535 if any, such as "
    "https://10.22.26.181:28443"
)
ENCODE = "; in a user or password, percent-encode /, ? and #"
NOT_AN_ADDRESS = (
    "contains a host that ends in a number but is not an IPv4 address: write four numbers from 0 "
    "to 255, without zeros in front, such as 10.22.26.181"
)


def chosen(url: str, **environ: str) -> str | None:
    """The proxy by these variables."""
    proxy = chosen_proxy(Server(url), environ)
    return proxy.endpoint.url if proxy else None


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, PROXY),
        ({"HTTPS_PROXY": " HTTP://Proxy.Example.com:3128/ "}, PROXY),
    ],
)
def test_the_variable_of_the_scheme_names_the_proxy(
    environ: dict[str, str], proxy: str | None
) -> None:
    """In either case; a bare host and port is an http proxy."""
    assert chosen(URL, **environ) == proxy


def test_plain_http_has_a_variable_of_its_own() -> None:
    """As everywhere."""
    assert chosen("http://cms.example.com", HTTP_PROXY=PROXY) == PROXY
    assert chosen("http://cms.example.com", HTTPS_PROXY=PROXY) is None


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        (URL, "*"),
        (URL, "10.22.26.181"),
        (URL, "10.22.26.181:28443"),
        (URL, "10.0.0.0/8"),
        (URL, "10.22.26.200/24"),
        (URL, "localhost, 10.22.0.0/16 ,example.com"),
        ("https://[fd00::7]:28443", "fd00::/8"),
        ("https://cms.example.com:28443", "example.com"),
        ("https://cms.example.com:28443", ".example.com"),
        ("https://cms.example.com:28443", "CMS.Example.COM"),
        ("https://CMS.example.com:28443", "cms.example.com:28443"),
        ("https://cms.example.com:28443", "*.example.com"),
        ("https://a.cms.example.com:28443", "*.example.com"),
        ("https://cms.example.com:28443", "example.com:28443"),
        ("https://cms.example.com:28443", ".example.com:28443"),
        ("https://cms.example.com:28443", "*.example.com:28443"),
        ("https://example.com:28443", ".example.com"),
        ("https://cms.example.com", "cms.example.com:443"),
        ("HTTPS://cms.example.com:443", "cms.example.com:443"),
        ("https://cms.example.com.", "example.com"),
        ("https://cms.example.com", "example.com."),
        ("https://lim\u00e1.example", "LIM\u00c1.example"),
        ("https://10.22.26.181", "10.22.26.181:443"),
        ("https://[::1]:8443", "[::1]"),
        ("https://[::1]:8443", "[::1]:8443"),
        ("https://[::1]:8443", "::1"),
        ("https://[::1]:8443", "0:0:0:0:0:0:0:1"),
        ("https://[0:0::1]", "[::1]:443"),
        ("https://[fe80::1%25eth0]", "fe80::/10"),
        ("https://[fe80::1%25eth0]", "[fe80::1]"),
        (URL, "localhost 10.22.26.181"),
    ],
)
def test_no_proxy_names_hosts_domains_and_networks(url: str, no_proxy: str) -> None:
    """Also in lower case."""
    assert chosen(url, HTTPS_PROXY=PROXY, NO_PROXY=no_proxy) is None
    assert chosen(url, HTTPS_PROXY=PROXY, no_proxy=no_proxy) is None


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        (URL, ""),
        (URL, ",.,"),
        (URL, "10.22.26.181:443"),
        (URL, "192.168.0.0/16, fd00::/8"),
        (URL, "10.0.0.0/99"),
        (URL, "26.181"),
        (URL, "10.22.26.281"),
        (URL, "[10.22.26.181]"),
        ("https://example.com:28443", "*.example.com"),
        ("https://cms.example.com:28443", "example.com:443"),
        ("https://cms.example.com:28443", "*:28443"),
        ("https://cms.example.com:28443", "http://cms.example.com"),
        ("https://notexample.com:28443", "*.example.com, .example.com, example.com"),
        ("https://[::1]:8443", "[::1]:443"),
        ("https://[::1]:8443", "[::2]"),
        ("https://cms.example.com:28443", "10.0.0.0/8"),
        ("https://cms.example.com:28443", "ample.com"),
        ("https://example.com:28443", "cms.example.com"),
    ],
)
def test_other_hosts_keep_the_proxy(url: str, no_proxy: str) -> None:
    """A name is matched by whole labels; what cannot be read matches nothing."""
    assert chosen(url, HTTPS_PROXY=PROXY, NO_PROXY=no_proxy) == PROXY


LABELS = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), min_size=1, max_size=4)


@given(LABELS, LABELS, st.sampled_from(["", ".", "*."]), st.booleans(), st.integers(1, 65535))
def test_a_name_means_whole_labels(
    host: list[str],
    domain: list[str],
    before: str,
    with_port: bool,  # noqa: FBT001  # from hypothesis
    port: int,
) -> None:
    """A host is bypassed if its last labels are the item's; with `*.` it needs one more."""
    for name in (host, [*host, *domain]):
        item = before + ".".join(domain) + (f":{port}" if with_port else "")
        below = len(name) > len(domain) and name[-len(domain) :] == domain
        bypassed = below or (name == domain and before != "*.")
        found = chosen(f"https://{'.'.join(name)}:{port}", HTTPS_PROXY=PROXY, NO_PROXY=item)
        assert (found is None) == bypassed


@given(st.ip_addresses(), st.integers(0, 128))
def test_an_address_is_found_however_it_is_written(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int
) -> None:
    """In short or long form, and by each network that contains it."""
    host = f"[{address.exploded}]" if address.version == 6 else str(address)
    network = ipaddress.ip_network((address, min(bits, address.max_prefixlen)), strict=False)
    for item in (host, f"{host}:443", address.exploded, str(address), str(network)):
        assert chosen(f"https://{host}", HTTPS_PROXY=PROXY, NO_PROXY=item) is None


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("socks5://user:CANARY@proxy:1080", "must start with https:// or http://"),
        ("ftp://proxy:21", "must start with https:// or http://"),
        ("http://", INVALID),
        ("http://proxy:99999", INVALID),
        ("http://proxy:port", INVALID),
        ("http://[::1", INVALID),
        ("http://user:CANARY/slash@proxy:3128", f"{INVALID}{ENCODE}"),
        ("http://user:CANARY#@proxy:3128", f"{INVALID}{ENCODE}"),
        ("http://proxy:3128/path", "must end after the port, without a path"),
        ("http://proxy:3128?CANARY", "must not have a query or fragment"),
        ("http://user:CANARY @proxy", "must not contain spaces or invisible characters"),
        ("10.22.26.281:3128", NOT_AN_ADDRESS),
        ("http://10.22.26:3128", NOT_AN_ADDRESS),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(address: str, problem: str) -> None:
    """With what is wrong and how to write it; the address itself may contain a password."""
    with pytest.raises(ProxyAddressError) as caught:
        chosen_proxy(Server(URL), {"https_proxy": address})
    assert str(caught.value) == f"https_proxy {problem}"
    assert caught.value.__context__ is None


def test_a_server_that_does_not_use_the_variable_does_not_mind_it() -> None:
    """One that is listed in NO_PROXY, or that has a proxy of its own."""
    environ = {"HTTPS_PROXY": "socks5://proxy", "NO_PROXY": "10.0.0.0/8"}
    assert chosen_proxy(Server(URL), environ) is None
    server = Server("https://lima.example", proxy_url=Secret(PROXY))
    proxy = chosen_proxy(server, environ)
    assert proxy is not None
    assert str(proxy) == f"{PROXY} (from proxy_url)"


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
def test_where_a_proxy_came_from(variable: str) -> None:
    """For people who look for it, without its password."""
    proxy = chosen_proxy(Server(URL), {variable: "http://user:canary@Proxy:3128/"})

    assert isinstance(proxy, ChosenProxy)
    assert str(proxy) == f"http://proxy:3128 (from {variable} in the environment)"
    assert (proxy.endpoint.address, proxy.origin) == ("proxy:3128", variable)
    assert "canary" not in repr(proxy)


@pytest.mark.parametrize(
    ("login", "decoded"),
    [
        ("user:p%40ss", b"user:p@ss"),
        ("user", b"user:"),
        (":", b":"),
        ("\u00fc:%c3%bc", b"\xc3\xbc:\xc3\xbc"),
    ],
)
def test_a_password_travels_in_a_header_alone(login: str, decoded: bytes) -> None:
    """The address is part of the keys of aiohttp's connections, and these of its errors."""
    proxy = chosen_proxy(Server(URL), {"HTTPS_PROXY": f"http://{login}@proxy:3128"})

    assert proxy is not None
    assert proxy.endpoint.origin == "http://proxy:3128"
    value = base64.b64encode(decoded).decode()
    assert proxy.headers == {"proxy-authorization": f"Basic {value}"}


def test_a_proxy_without_a_password_is_shown_nothing() -> None:
    """The common case."""
    proxy = chosen_proxy(Server(URL), {"HTTPS_PROXY": "https://proxy"})

    assert proxy is not None
    assert proxy.headers == {}
