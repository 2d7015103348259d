"""The shape of the file: every key of exporter-toolkit's format, and its type."""

from typing import Any

from pydantic import Field

from exporter.config.fields import SecretText, Text
from exporter.config.model import Shape


class TlsServer(Shape):
    """The server's certificate, and what is required of clients."""

    cert_file: Text | None = None
    key_file: Text | None = None
    cert: Text | None = None
    key: SecretText | None = None
    client_auth_type: Text | None = None
    client_ca_file: Text | None = None
    client_ca: Text | None = None
    client_allowed_sans: list[Text] = Field(default=[])
    min_version: Text | None = None
    max_version: Text | None = None
    cipher_suites: list[Text] = Field(default=[])
    prefer_server_cipher_suites: bool = True
    curve_preferences: list[Text] = Field(default=[])


class HttpServer(Shape):
    """What each response carries."""

    http2: bool = False
    # An empty value has a special meaning here.
    headers: dict[str, Any] = Field(default={})


class WebFile(Shape):
    """The whole file."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer | None = None
    # Checked by hand, because a problem must not show what may be a password without its space.
    basic_auth_users: dict[str, Any] = Field(default={})
    rate_limit: Any = None
