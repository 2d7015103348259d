"""From a reply that is no answer to one `PollError`: a reason, and a sentence that helps.

Knows the statuses of HTTP and what can be wrong with a body. Sentences name the option that mends
the matter, in the words of the configuration; they hold no secret, and no text of a reply but its
error description, shortened.
"""

from typing import Final
from urllib.parse import urlsplit

import httpx

from exporter.cms.body import CodingError, TooLargeError
from exporter.cms.pacing import retry_after
from exporter.cms.server import Auth, Server, Signature
from exporter.cms.wire import DecodeError, ResultError, SchemaError
from exporter.errors import PollError, Reason, place

_CLOCKS_DIFFER: Final = 60.0


def of_status(
    status: int,
    headers: httpx.Headers,
    server: Server,
    server_time: float | None,
    now: float,
) -> PollError:
    """A reply whose HTTP status is not 200.

    Args:
        status: of HTTP.
        headers: of the reply.
        server: that was asked.
        server_time: the reply's `Date` in epoch seconds, if it had one.
        now: epoch seconds by this host's clock.
    """
    if status == httpx.codes.UNAUTHORIZED:
        skew = None if server_time is None else server_time - now
        return PollError(Reason.AUTH, f"HTTP 401: {_unauthorized(server.auth, skew)}")
    if status == httpx.codes.FORBIDDEN:
        return PollError(
            Reason.AUTH,
            "HTTP 403: a gateway refuses this host: ask for its address to be put on the "
            "allow-list, and check the rights of the access key",
        )
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return of_proxy_status(status)
    pause = retry_after(headers.get("retry-after"), server_time or now)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return PollError(
            Reason.RATE_LIMITED,
            "HTTP 429: too many requests for this server: lower max_requests_per_second or "
            "lengthen interval",
            retry_after=pause,
        )
    return PollError(
        Reason.HTTP,
        f"HTTP {status}: {_other_status(status, headers, server)}",
        retry_after=pause if status == httpx.codes.SERVICE_UNAVAILABLE else None,
    )


def of_proxy_status(status: int) -> PollError:
    """A proxy that answers in the server's place, and opens no way to it."""
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return PollError(
            Reason.AUTH,
            "HTTP 407: the proxy asks for a password: give user and password in proxy_url",
        )
    return PollError(
        Reason.CONNECT,
        f"the proxy refuses to connect (HTTP {status}): check its rules, or NO_PROXY",
    )


def of_body(error: TooLargeError | CodingError, limit: int) -> PollError:
    """A body with status 200 that cannot be read."""
    if isinstance(error, TooLargeError):
        return PollError(
            Reason.TOO_LARGE,
            f"the reply is larger than {limit / 2**20:g} MiB, which no VDN's listing is: check "
            "that url leads to CC-CMS",
        )
    return PollError(
        Reason.DECODE,
        "the reply is compressed in a way that cannot be undone: look for a gateway that alters "
        "or cuts replies",
    )


def of_reply(error: DecodeError | ResultError | SchemaError, server: Server) -> PollError:
    """A body that was read, and is no answer."""
    if isinstance(error, ResultError):
        described = f" ({error.description})" if error.description else ""
        return PollError(
            Reason.API,
            f"the server answers with result code {error.code}{described}: check ccId and vdn, the "
            "rights of the access key, and the vendor's Error Code Reference",
        )
    if isinstance(error, DecodeError):
        return PollError(
            Reason.DECODE,
            "the reply is no JSON: check that url leads to CC-CMS and not to a login page or a "
            "gateway's",
        )
    return PollError(
        Reason.SCHEMA,
        f"the reply is not what the interface promises: {error}; check that api: "
        f"{server.api.value} fits the server's release",
    )


def of_timeout(server: Server, seconds: float, page: int) -> PollError:
    """A poll that did not end within so many seconds, while it read that page."""
    pages = "" if server.page_size is None else f", in page {page}"
    return PollError(
        Reason.TIMEOUT,
        f"no whole reply from {server.address} within {seconds:g} s{pages}: the server is "
        "slow or a firewall drops packets; raise timeout if it is only slow",
    )


def of_defect(error: Exception) -> PollError:
    """A fault of the exporter's own. Its message is left out, since it may quote a reply."""
    return PollError(
        Reason.INTERNAL, f"{place(error)}: a fault in the exporter itself; please report it"
    )


def _unauthorized(auth: Auth, clock_skew: float | None) -> str:
    if auth is None:
        return "the server wants a signature: configure auth"
    if not isinstance(auth, Signature):
        return "the Authorization header is refused: renew auth.authorization"
    if clock_skew is None:
        return (
            "the signature is refused, and the reply has no Date to compare the clocks by: check "
            "access_key, secret_key and this host's clock"
        )
    seconds = abs(clock_skew)
    if seconds < _CLOCKS_DIFFER:
        return (
            f"the signature is refused, and the clocks differ by only {seconds:.0f} s: check "
            "access_key and secret_key"
        )
    way = "ahead of" if clock_skew > 0 else "behind"
    return (
        f"the signature is refused, and the server's clock is {seconds:.0f} s {way} this host's: "
        "set both by NTP"
    )


def _other_status(status: int, headers: httpx.Headers, server: Server) -> str:
    if httpx.codes.is_redirect(status):
        return (
            f"the server redirects{_destination(headers.get('location', ''))}, which is not "
            "followed: put the final address into url"
        )
    if status == httpx.codes.NOT_FOUND:
        return f"there is no {server.api.path} here: check url and api"
    if httpx.codes.is_server_error(status):
        return "the server or a gateway in front of it has failed: look into its log"
    return "an answer that the interface does not have: check url, api and gateways on the way"


def _destination(location: str) -> str:
    try:
        target = urlsplit(location)
    except ValueError:
        return ""
    return f" to {target.scheme}://{target.hostname}" if target.hostname else ""
