"""exporter.endpoint: one parser of URLs, for the configuration and for the client."""

import string

import pytest
import yarl
from aiohttp.helpers import is_canonical_ipv4_address, is_ip_address
from hypothesis import given
from hypothesis import strategies as st

from exporter.endpoint import endpoint


@pytest.mark.parametrize(
    ("url", "normalized", "address", "authority"),
    [
        ("HTTPS://CMS.Example.com", "https://cms.example.com", "cms.example.com:443", None),
        ("http://cms:8080/Gw%2f/", "http://cms:8080/Gw%2f", "cms:8080", "cms:8080"),
        ("https://user:p%40ss@10.22.26.181:28443", "https://10.22.26.181:28443", None, None),
        ("https://[0:0::1]:443", "https://[::1]:443", "[::1]:443", "[::1]:443"),
        ("https://[FE80::1%25eth0]", "https://[fe80::1%25eth0]", "[fe80::1%eth0]:443", "[fe80::1]"),
    ],
)
def test_a_url_is_normalized(
    url: str, normalized: str, address: str | None, authority: str | None
) -> None:
    """Scheme and host in lowercase, addresses in short form; the path stays as it is."""
    parts = endpoint(url)

    assert parts.url == normalized
    assert endpoint(parts.url).url == normalized
    assert address is None or parts.address == address
    assert authority is None or parts.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "https://10.22.26.281",
        "https://127.0.0:1",
        "https://2130706433",
        "https://0x7f.1",
        "https://10.22.26.181.",
        "https://1.2.3.4.5",
    ],
)
def test_an_address_with_a_typo_is_no_name(url: str) -> None:
    """The client takes it for neither."""
    with pytest.raises(ValueError, match="looks like an IPv4 address and is none"):
        endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1]x:1",
        "https://[::1",
        "https://[10.0.0.1]",
        "https://[::1%25]",
        "https://cms:0",
        "https://cms:65536",
        "https://cms:",
        "https://cms:port",
        "https://",
        "https://a..b",
        "https://a_.b,c",
    ],
)
def test_no_host_or_no_port(url: str) -> None:
    """With an example of how it is written."""
    with pytest.raises(ValueError, match="must contain a valid host, and a port from 1 to 65535"):
        endpoint(url)


@given(
    st.text(string.ascii_letters + string.digits + "[]:.%@/_-", max_size=30),
    st.sampled_from(["http://", "HTTPS://"]),
)
def test_what_is_accepted_the_client_can_use(rest: str, scheme: str) -> None:
    """Aiohttp parses it to the same host and port, and takes its numbers for an address."""
    try:
        parts = endpoint(scheme + rest)
    except ValueError:
        return
    parsed = yarl.URL(parts.url, encoded=True)
    assert (parsed.scheme, parsed.host, parsed.port) == (parts.scheme, parts.host, parts.port)
    if is_ip_address(parts.host) and ":" not in parts.host:
        assert is_canonical_ipv4_address(parts.host)
