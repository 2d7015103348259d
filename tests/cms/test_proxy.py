"""exporter.cms.proxy: which proxy leads to a server, and addresses that lead nowhere."""

import pytest

from exporter.cms.proxy import ChosenProxy, chosen_proxy, environment_proxy
from exporter.endpoint import endpoint
from exporter.secret import Secret
from exporter.server import Server

URL = "https://10.22.26.181:28443"
PROXY = "http://proxy.example.com:3128"


def chosen(url: str, **environ: str) -> str | None:
    """The proxy by these variables."""
    proxy = environment_proxy(endpoint(url), environ)
    return proxy.address.reveal() if proxy else None


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, PROXY),
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
        ("https://cms.example.com:28443", "example.com:28443"),
        ("https://cms.lima.example", "*.lima.example"),
        ("https://cms.lima.example", "cms.lima.example:443"),
        ("http://cms.lima.example", "cms.lima.example:80"),
        ("https://cms.example.com.", "example.com"),
        ("https://[::1]:28443", "[::1]"),
        ("https://[::1]:28443", "[0:0::1]:28443"),
        ("https://[::1]:28443", "::1"),
        ("https://[fe80::1%25eth0]:28443", "fe80::/10"),
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
        ("https://cms.example.com:28443", "10.0.0.0/8"),
        ("https://cms.example.com:28443", "ample.com"),
        ("https://example.com:28443", "cms.example.com"),
        ("https://lima.example", "*.lima.example"),
        ("https://lima.example", ".lima.example"),
        ("https://cms.lima.example", "cms.lima.example:80"),
        ("https://[::1]:28443", "[::1]:443"),
        ("https://[::1]:28443", "[::2]"),
        ("https://cms.example.com", "[::1]"),
        (URL, "a:b:c:d"),
    ],
)
def test_other_hosts_keep_the_proxy(url: str, no_proxy: str) -> None:
    """A name is matched by whole labels; what cannot be read matches nothing."""
    assert chosen(url, HTTPS_PROXY=PROXY, NO_PROXY=no_proxy) == PROXY


@pytest.mark.parametrize(
    "address",
    [
        "socks5://proxy:1080",
        "ftp://proxy:21",
        "http://",
        "http://proxy:99999",
        "http://proxy:port",
        "http://user:with/slash@proxy:3128",
        "http://[::1",
        "http://[::1]x:1",
        "http://10.22.26.281:3128",
        "http://proxy:3128/path",
    ],
)
def test_an_address_that_cannot_be_used_is_no_proxy(address: str) -> None:
    """Other kinds of proxies, and what is no address at all."""
    assert ChosenProxy(Secret(address), "HTTPS_PROXY").usable is None


def test_a_password_travels_in_a_header_alone() -> None:
    """The address stands in the keys of aiohttp's connections, and these in its errors."""
    proxy = ChosenProxy(Secret("http://user:canary@proxy:3128"), "proxy_url").usable

    assert proxy is not None
    assert str(proxy.url) == "http://proxy:3128"
    assert proxy.auth is None
    assert list(proxy.headers) == ["proxy-authorization"]


def test_a_proxy_without_a_password_is_shown_nothing() -> None:
    """The common case."""
    proxy = ChosenProxy(Secret("https://proxy"), "proxy_url").usable

    assert proxy is not None
    assert list(proxy.headers) == []


@pytest.mark.parametrize(
    ("server", "shown"),
    [
        (
            Server(URL, proxy_url=Secret("http://user:canary@proxy:3128")),
            "http://proxy:3128 (from proxy_url)",
        ),
        (Server(URL), "http://proxy.example.com:3128 (from HTTPS_PROXY in the environment)"),
    ],
)
def test_it_is_shown_where_a_proxy_comes_from(server: Server, shown: str) -> None:
    """Without its password."""
    proxy = chosen_proxy(server, {"HTTPS_PROXY": PROXY})

    assert proxy is not None
    assert str(proxy) == shown
