"""The requests to one server, signed, with as little as possible computed anew for each.

Ten thousand targets ask with the same headers, of which only the length, the time and the
signature differ. Knows the headers that go out; neither sends nor waits.
"""

from typing import Final

import httpx

from exporter import __version__
from exporter.clock import Clock
from exporter.cms import signing
from exporter.cms.server import Auth, Server, Signature, StaticAuthorization

_METHOD: Final = "POST"


class Requests:
    """Makes the requests to one server.

    Args:
        server: where it is and how it wants to be asked.
        clock: for the time in signatures.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self._clock = clock
        self._url = httpx.URL(server.url + server.api.path)
        self._headers = {
            "host": self._url.netloc.decode(),
            "accept": "application/json",
            # replies are small and the wire is short: spare a fragile server the compressing
            "accept-encoding": "identity",
            "user-agent": f"agent-rest-exporter/{__version__}",
            "content-type": "application/json; charset=UTF-8",
            **{name: value.reveal() for name, value in server.headers},
        }
        self._raw = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        self._extensions = (
            {"sni_hostname": server.tls.server_name} if server.tls.server_name else {}
        )
        self._heads: dict[tuple[tuple[str, ...], int], tuple[str, str]] = {}

    def make(self, question: bytes, auth: Auth) -> httpx.Request:
        """One request, with the time and the signature of this moment.

        Args:
            question: the body, exactly as it is sent: it is what gets signed.
            auth: what authorizes it.
        """
        headers = [*self._raw, (b"content-length", b"%d" % len(question))]
        match auth:
            case Signature(access_key, secret_key, signed_headers):
                names, head = self._head(signed_headers, len(question))
                at = signing.timestamp(self._clock().wall)
                prefix = signing.prefix(access_key.reveal(), at, names)
                canonical = signing.with_body(head, question)
                value = signing.authorization(secret_key.reveal(), prefix, canonical)
                headers.append((b"authorization", value.encode()))
            case StaticAuthorization(secret):
                headers.append((b"authorization", secret.reveal().encode()))
        return httpx.Request(
            _METHOD, self._url, headers=headers, content=question, extensions=self._extensions
        )

    def _head(self, signed_headers: tuple[str, ...], length: int) -> tuple[str, str]:
        """The names that are signed, and the canonical request before its body.

        They depend on nothing but the length, and bodies have a handful of lengths.
        """
        key = signed_headers, length
        if key not in self._heads:
            headers = self._headers | {"content-length": str(length)}
            signed = {name: headers[name] for name in signed_headers}
            head = signing.canonical_head(_METHOD, self._url.raw_path.decode(), signed)
            self._heads[key] = signing.signed_names(signed), head
        return self._heads[key]
