"""TLS servers that send the alerts which asyncio's own leave out, as appliances do."""

import contextlib
import functools
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator

import trustme

OLD_CIPHERS = "DEFAULT:@SECLEVEL=0"


def presenting(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """The TLS settings of a server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


def only(
    leaf: trustme.LeafCert, version: ssl.TLSVersion, ciphers: str = OLD_CIPHERS
) -> ssl.SSLContext:
    """The TLS settings of a server of long ago: one version, and the ciphers of that time."""
    context = presenting(leaf)
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


@contextlib.contextmanager
def appliance(context: ssl.SSLContext, reply: bytes = b"") -> Iterator[int]:
    """A server on blocking sockets, one connection after the other. Gives the port."""
    tls = functools.partial(context.wrap_socket, server_side=True, do_handshake_on_connect=False)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            plain.settimeout(5)
            with contextlib.suppress(OSError), tls(plain) as secure:
                try:
                    secure.do_handshake()
                    secure.recv(4096)
                    secure.sendall(reply)
                except ssl.SSLError:
                    secure.shutdown(socket.SHUT_WR)
                # closing with bytes unread would reset the connection, and the alert with it
                while secure.recv(4096):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
