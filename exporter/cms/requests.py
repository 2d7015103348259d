"""The requests to one server, signed. What is the same for all of them is computed once.

Ten thousand targets are polled with the same headers; only length, time and signature differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import httpx

from exporter import __version__
from exporter.clock import Clock
from exporter.cms import signing
from exporter.secret import Secret
from exporter.server import Auth, SecretSource, Server, Signature, StaticAuthorization

_METHOD: Final = "POST"


@dataclass(frozen=True, slots=True)
class _Head:
    """What requests with bodies of one length share."""

    headers: httpx.Headers
    """All but `Authorization`."""
    names: str
    """Of the headers that are signed."""
    canonical: str
    """The text that is signed, before the body."""


class Requests:
    """Makes the requests to one server.

    `path` is below the server's URL: that of its interface by default.
    """

    def __init__(self, server: Server, clock: Clock, path: str = "") -> None:
        self._clock = clock
        # exactly as the URL spells it: httpx and yarl would encode some characters anew
        self._path = server.endpoint.path + (path or server.api.path)
        self._url = httpx.URL(server.endpoint.origin + self._path)
        self._headers = {
            "host": server.host_header,
            "accept": "application/json",
            # replies are small: spare a fragile server the work of compressing them
            "accept-encoding": "identity",
            "user-agent": f"agent-rest-exporter/{__version__}",
            "content-type": "application/json; charset=UTF-8",
            **{name: value.loaded.reveal() for name, value in server.headers},
        }
        self._extensions: dict[str, object] = {"target": self._path.encode()}
        server_name = server.tls.server_name or server.endpoint.server_name
        if server_name != server.endpoint.host:
            self._extensions["sni_hostname"] = server_name
        self._heads: dict[tuple[tuple[str, ...], bool, int], _Head] = {}

    def make(self, question: bytes, auth: Auth) -> httpx.Request:
        """One request, with the time and the signature of this moment.

        `question` is the body, exactly as it is sent: that is what is signed. `auth` has secrets
        that are read, not sources.
        """
        head = self._head(auth, len(question))
        request = httpx.Request(
            _METHOD,
            self._url,
            headers=head.headers,
            # given as a stream, because `content` makes httpx look at every header again
            stream=httpx.ByteStream(question),
            extensions=self._extensions,
        )
        match auth:
            case Signature(access_key, secret_key):
                at = signing.timestamp(self._clock().wall)
                prefix = signing.prefix(access_key.loaded.reveal(), at, head.names)
                canonical = signing.with_body(head.canonical, question)
                value = signing.authorization(secret_key.loaded.reveal(), prefix, canonical)
                request.headers["authorization"] = value
            case StaticAuthorization(secret):
                request.headers["authorization"] = secret.loaded.reveal()
        return request

    def canonical(self, question: bytes, auth: Signature) -> str:
        """The text that `make` signs for that body, for a person who compares it."""
        return signing.with_body(self._head(auth, len(question)).canonical, question)

    def _head(self, auth: Auth, length: int) -> _Head:
        """Depends only on the length, and bodies have a handful of lengths."""
        signed_headers: tuple[str, ...] = ()
        empty_query_line = False
        if isinstance(auth, Signature):
            signed_headers, empty_query_line = auth.signed_headers, auth.empty_query_line
        key = signed_headers, empty_query_line, length
        if key not in self._heads:
            headers = self._headers | {"content-length": str(length)}
            signed = {name: headers[name] for name in signed_headers}
            canonical = signing.canonical_head(
                _METHOD, self._path, signed, empty_query_line=empty_query_line
            )
            self._heads[key] = _Head(
                httpx.Headers(headers), signing.signed_names(signed), canonical
            )
        return self._heads[key]


def with_secrets(auth: Auth, get: Callable[[SecretSource], Secret]) -> Auth:
    """The same with the secrets of its sources."""
    match auth:
        case Signature(access_key, secret_key):
            return replace(auth, access_key=get(access_key), secret_key=get(secret_key))
        case StaticAuthorization(value):
            return StaticAuthorization(get(value))
    return None
