"""What a server is shown beside the question: Authorization, further headers, the proxy's password.

Knows which secrets go together. Knows nothing of how they are used.
"""

import re
from pathlib import Path

from exporter.config.findings import Findings
from exporter.config.model import Auth, Server, Shape
from exporter.config.secrets import Rule, SecretError, SecretSource, from_value
from exporter.config.settings import SignedAuth, StaticAuth
from exporter.config.yaml.document import Place
from exporter.secret import Secret

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# What the client sets itself.
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    }
)
_SIGNED = ("content-length", "content-type", "host")


def authentication(
    server: Server, place: Place, findings: Findings, broken: frozenset[str]
) -> SignedAuth | StaticAuth | None:
    """How requests are authorized; None if they are not, or if that cannot be said.

    Args:
        server: the block of `cms`.
        place: of its `auth`.
        findings: takes the problems.
        broken: keys of the server that have a problem already.
    """
    auth = server.auth
    if auth is None:
        return None
    authorization = secret(auth, "authorization", Rule.HEADER, place, findings)
    access_key = secret(auth, "access_key", Rule.ACCESS_KEY, place, findings)
    secret_key = secret(auth, "secret_key", Rule.ANYTHING, place, findings)
    given = auth.model_fields_set
    if given & {"authorization", "authorization_file"}:
        for key in sorted(given - {"authorization", "authorization_file"}):
            findings.say(place / key, "has no effect beside authorization", on_key=True)
        return StaticAuth(authorization) if authorization else None
    headers = _signed_headers(auth, server, place / "signed_headers", findings, broken)
    if "auth" not in broken:
        for key in ("access_key", "secret_key"):
            if not given & {key, f"{key}_file"}:
                findings.say(
                    place, f"{key} or {key}_file must be given, or authorization instead of a key"
                )
    if access_key and secret_key:
        return SignedAuth(access_key, secret_key, headers)
    return None


def further_headers(
    server: Server, place: Place, findings: Findings
) -> tuple[tuple[str, SecretSource], ...]:
    """The headers that each request carries beside its own, in the order of the file."""
    headers: dict[str, tuple[str, SecretSource]] = {}
    for name, value in server.headers.items():
        lower = name.lower()
        if not _TOKEN.fullmatch(name):
            findings.say(place / name, "no header name", on_key=True)
        elif lower in _OWN_HEADERS:
            findings.say(place / name, "the exporter sets this header itself", on_key=True)
        elif lower in headers:
            findings.say(place / name, "this header stands above in other case", on_key=True)
        else:
            source = _checked(value, Rule.HEADER, place / name, findings)
            if source:
                headers[lower] = (name, source)
    return tuple(headers.values())


def secret(
    shape: Shape, key: str, rule: Rule, place: Place, findings: Findings
) -> SecretSource | None:
    """The source of a secret that a mapping gives as `key` or as `key_file`, if it does."""
    value: Secret | None = getattr(shape, key)
    file: str | None = getattr(shape, f"{key}_file")
    if value is not None and file is not None:
        findings.say(place / f"{key}_file", f"give {key} or {key}_file, not both", on_key=True)
        return None
    if file is not None:
        return _checked(findings.file(file), rule, place / f"{key}_file", findings)
    return None if value is None else _checked(value, rule, place / key, findings)


def _checked(
    origin: Secret | Path, rule: Rule, place: Place, findings: Findings
) -> SecretSource | None:
    try:
        if isinstance(origin, Path):
            source = SecretSource(rule, origin, str(origin))
        else:
            source = from_value(origin, rule, findings.environ)
        source.read()
    except SecretError as error:
        findings.say(place, str(error))
        return None
    return source


def _signed_headers(
    auth: Auth, server: Server, place: Place, findings: Findings, broken: frozenset[str]
) -> tuple[str, ...]:
    if auth.signed_headers is None:
        return _SIGNED
    known = {*_SIGNED, *map(str.lower, server.headers)}
    names = [name.lower() for name in auth.signed_headers]
    for index, name in enumerate(names):
        if name == "authorization":
            findings.say(place / index, "the Authorization header holds the signature itself")
        elif name not in known and "headers" not in broken:
            findings.say(
                place / index,
                "must be content-length, content-type, host, or a header of this server's headers",
            )
    if "host" not in names:
        findings.say(place, "must hold host")
    return tuple(sorted(set(names)))
