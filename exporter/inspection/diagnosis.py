"""Why a server refuses a signature though keys and clocks seem right: find out by trying.

The vendor's pages leave two doubts about what is signed, and a load balancer can add a third. Each
variant is tried once, for a person who waits for the answer (`check --live`), never by the daemon.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, cast

import httpx

from exporter.clock import Clock
from exporter.cms.client import CmsClient
from exporter.cms.connections import Connection, Exchange
from exporter.cms.requests import Requests
from exporter.cms.transport import Transport
from exporter.errors import Clue, PollResult, Reason
from exporter.server import Server, Signature

_PING: Final = "/rest/cmsapp/v1/ping"
_HELLO: Final = b'{"say":"hello"}'


async def explain_refusal(  # noqa: PLR0913  # one of them by name
    server: Server,
    result: PollResult,
    vdn: tuple[int, int],
    environ: Mapping[str, str],
    clock: Clock,
    *,
    variants_tried: bool = False,
) -> str | None:
    """What would make a server accept the signature that it has refused.

    Args:
        server: that was polled.
        result: of the poll.
        vdn: that was polled: ccId and vdn.
        environ: where a proxy is looked up if the server names none.
        clock: its monotonic part must be the event loop's.
        variants_tried: whether it has refused the variants, too: each refusal can count for a
            server that locks keys.

    Returns:
        One sentence; None if the poll was not refused for its signature, or for the clocks.
    """
    auth = server.auth
    if not isinstance(auth, Signature) or not is_refused_signature(result):
        return None
    for variant, remedy in () if variants_tried else signature_variants(server, auth):
        client = CmsClient(variant, Transport(variant, environ), clock)
        try:
            tried = await client.poll(*vdn)
        finally:
            await client.aclose()
        if tried.error is None or tried.error.reason is Reason.API:
            return f"the server accepts the signature with {remedy}: set it"
    status = await _ping(server, auth, environ, clock)
    if status == httpx.codes.OK:
        return (
            "the server accepts the signature of the vendor's ping, so the keys are right: check "
            "api, and the rights of the access key"
        )
    answered = "does not answer" if status is None else f"returns HTTP {status}"
    return (
        "the server refuses every variant of the signature (empty query line, Host without and "
        f"with the port), and the vendor's ping {answered}: check access_key and secret_key"
    )


def is_refused_signature(result: PollResult) -> bool:
    """Whether a server has refused a signature, and not because of the clocks."""
    return result.error is not None and result.error.clue is Clue.SIGNATURE


def signature_variants(server: Server, auth: Signature) -> Iterator[tuple[Server, str]]:
    """The other ways to sign, each with the option that chooses it."""
    other = not auth.empty_query_line
    yield (
        replace(server, auth=replace(auth, empty_query_line=other)),
        f"auth.empty_query_line: {str(other).lower()}",
    )
    authority = server.endpoint.authority
    bare = authority.removesuffix(f":{server.endpoint.port}")
    for host in dict.fromkeys([bare, authority, f"{bare}:{server.endpoint.port}"]):
        if host != server.host_header:
            yield replace(server, host=host), f'host_header: "{host}"'


async def _ping(
    server: Server,
    auth: Signature,
    environ: Mapping[str, str],
    clock: Clock,
) -> int | None:
    """The status of the vendor's own test of a signature, or None without a reply."""
    transport = Transport(server, environ)
    request = Requests(server, clock, _PING).make(_HELLO, auth)
    request.extensions["exchange"] = Exchange(_ignore, single_use=True)
    try:
        async with asyncio.timeout(server.timeout):
            response = await transport.handle_async_request(request)
            await cast("httpx.AsyncByteStream", response.stream).aclose()
    except (httpx.TransportError, TimeoutError):
        return None
    finally:
        await transport.aclose()
    return response.status_code


def _ignore(_connection: Connection) -> None:
    """A connection that is used once needs no watch."""
