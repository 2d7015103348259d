"""From servers to clients that poll them."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from exporter.clock import Clock
from exporter.cms.client import CmsClient
from exporter.cms.proxy import ProxyAddressError
from exporter.cms.tls import TlsFileError
from exporter.cms.transport import Transport
from exporter.server import Server


class BuildError(Exception):
    """Certificates or proxies of servers that cannot be used: a sentence for each."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


def clients(
    servers: Iterable[Server],
    environ: Mapping[str, str],
    clock: Clock,
    transport: Callable[[Server, Mapping[str, str]], Transport] | None = None,
) -> dict[str, CmsClient]:
    """A client for each server, by its name. None has connected yet.

    `transport` makes the transport of a server, such as one that records. Raises BuildError.
    """
    make = transport or Transport
    made: dict[str, CmsClient] = {}
    wrong: list[str] = []
    for server in servers:
        try:
            made[server.name] = CmsClient(server, make(server, environ), clock)
        except TlsFileError as error:
            wrong.append(f"cms {server.name}: tls.{error.option}: {error}")
        except ProxyAddressError as error:
            wrong.append(f"cms {server.name}: {error}")
    if wrong:
        raise BuildError(wrong)
    return made
