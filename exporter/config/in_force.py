"""The current configuration as text: every default filled in, every secret masked. Pure.

It is a configuration again, once the secrets are put in. A secret is masked by what it is, and not
by its key's name: the only thing that is read of a source is the path of its file.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from exporter.config.credentials import SecretFile
from exporter.config.draft import scalar
from exporter.durations import format_duration
from exporter.server import Auth, SecretSource, Server, Signature, Tls
from exporter.store import Target

_HEAD: Final = """\
# The current configuration, with every default filled in. Secrets are masked, targets of
# target_files are listed among the others, and paths are absolute. Equal configurations have the
# same digest, before shards divide them, whatever their secrets:
# {digest}
"""
_LINES: Final = 200
"""In one slice."""


class _Bare(str):
    """A text that is written without quotes: the mask, or a duration."""

    __slots__ = ()


MASK: Final = _Bare("<secret>")

_Value = str | float | Sequence[object] | Mapping[str, object] | None


def in_force(servers: Iterable[Server], targets: Iterable[Target], digest: str) -> Iterator[bytes]:
    """The configuration with this digest as YAML, in slices to be joined."""
    yield _HEAD.format(digest=digest).encode()
    yield from _masked(servers, targets)


def digest_of(servers: Iterable[Server], targets: Iterable[Target]) -> str:
    """A digest in hex of what a configuration says, without its secrets: none can be guessed by it.

    Targets are not written as YAML for it, which would be a tenth of the time of a load.
    """
    settings = b"".join(_masked(servers, ()))
    return hashlib.sha256(settings + msgspec.json.encode([*targets])).hexdigest()


def _masked(servers: Iterable[Server], targets: Iterable[Target]) -> Iterator[bytes]:
    yield b"cms:\n"
    by_server: dict[str, list[Target]] = {}
    for target in targets:
        by_server.setdefault(target.key.cms, []).append(target)
    for server in servers:
        own = by_server.get(server.name, [])
        lines = [*_mapping(_server(server, own)), "    targets:"]
        for entry in _entries(own):
            lines.append(f"      - {_text(entry)}")
            if len(lines) >= _LINES:
                yield _joined(lines)
                lines = []
        yield _joined(lines)


def _joined(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _server(server: Server, targets: Sequence[Target]) -> dict[str, _Value]:
    """A server's keys in the order of the documents. None is left out."""
    return {
        "name": server.name,
        "url": server.url,
        "auth": _auth(server.auth),
        "api": server.api.value,
        "cti_version": "3.8" if server.page_size is None else "3.6",
        "page_size": server.page_size,
        "interval": _duration(server.interval),
        "timeout": _duration(server.timeout),
        "stale_after": _duration(targets[0].stale_after if targets else None),
        "max_concurrency": server.max_concurrency,
        "max_requests_per_second": server.max_requests_per_second,
        "begin_time_unit": server.begin_time_unit.value,
        "rest_bounds": [_duration(bound) for bound in server.rest_bounds],
        "tls": _tls(server.tls) if server.endpoint.tls or server.tls != Tls() else None,
        **_secret("proxy_url", server.proxy_url),
        "headers": {name: MASK for name, _ in server.headers},
        "host_header": server.host,
    }


def _auth(auth: Auth) -> _Value:
    if auth is None:
        return None
    if not isinstance(auth, Signature):
        return _secret("authorization", auth.value)
    return {
        **_secret("access_key", auth.access_key),
        **_secret("secret_key", auth.secret_key),
        "signed_headers": auth.signed_headers,
        "empty_query_line": auth.empty_query_line,
    }


def _secret(key: str, source: SecretSource | None) -> dict[str, _Value]:
    if isinstance(source, SecretFile):
        return {f"{key}_file": str(source.path)}
    return {} if source is None else {key: MASK}


def _tls(tls: Tls) -> _Value:
    return {
        "ca_file": tls.ca_file and str(tls.ca_file),
        "cert_file": tls.cert_file and str(tls.cert_file),
        "key_file": tls.key_file and str(tls.key_file),
        "server_name": tls.server_name,
        "insecure_skip_verify": tls.insecure_skip_verify,
        "min_version": tls.min_version,
        "ciphers": tls.ciphers,
    }


def _entries(targets: Sequence[Target]) -> Iterator[dict[str, object]]:
    """Targets as the file lists them: neighbours that differ only in their VDN are a range."""
    start = 0
    for end in range(1, len(targets) + 1):
        if end < len(targets) and _continues(targets[end - 1], targets[end]):
            continue
        first, last = targets[start].key.vdn, targets[end - 1].key.vdn
        yield _entry(targets[start], first if first == last else _Bare(f"{first}-{last}"))
        start = end


def _continues(before: Target, target: Target) -> bool:
    cms, cc_id, vdn = before.key
    return target.key == (cms, cc_id, vdn + 1) and replace(target, key=before.key) == before


def _entry(target: Target, vdn: int | str) -> dict[str, object]:
    return {
        "ccId": target.key.cc_id,
        "vdn": vdn,
        "name": target.name,
        "labels": dict(target.labels),
        "max_resting": target.max_resting,
        "max_rest": _duration(target.max_rest),
        "max_wait": _duration(target.max_wait),
    }


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else _Bare(format_duration(seconds))


def _mapping(keys: Mapping[str, _Value], first: str = "  - ", rest: str = "    ") -> Iterator[str]:
    """The lines of a block; one in it has lines of its own if it is a mapping."""
    for key, value in keys.items():
        if value is None or value in ({}, []):
            continue
        if isinstance(value, Mapping):
            below = f"{rest}  "
            yield f"{first}{scalar(key)}:"
            yield from _mapping(value, below, below)  # type: ignore[arg-type]  # one level of them
        else:
            yield f"{first}{scalar(key)}: {_text(value)}"
        first = rest


def _text(value: object) -> str:
    """A value in YAML's flow style."""
    # by exact type, the most frequent first
    kind = type(value)
    if kind is str:
        return scalar(value, in_flow=True)  # type: ignore[arg-type]  # it is one
    if kind is _Bare or kind is int:
        return str(value)
    if isinstance(value, Mapping):
        # the keys are ours, or names of labels
        items = [f"{key}: {_text(each)}" for key, each in value.items() if each not in (None, {})]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_text, value))}]"
    return json.dumps(value)
