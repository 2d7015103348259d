"""Which of several exporters polls a target.

By a stable hash of the target's key, the same in every process and release. With one more shard, a
target stays where it is or moves to the new shard.
"""

import hashlib
import os
import re
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from exporter.config.load import Config
from exporter.store import TargetKey


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several exporters that share the targets of one configuration.

    Args:
        index: which one, from 0 to `total` - 1.
        total: how many there are, at least 1.
    """

    index: int
    total: int

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str], host_name: str) -> Self:
        """Read `INDEX/TOTAL`, or `auto/TOTAL` for the ordinal of a pod or a host.

        Args:
            text: of the flag.
            environ: for `auto`: a `POD_NAME` in it goes before the host name.
            host_name: for `auto`; a domain behind it is left out.

        Raises:
            ValueError: a sentence that says what is wrong and what to do.
        """
        written = re.fullmatch(r"(auto|[0-9]{1,9})/([0-9]{1,9})", text)
        if written is None:
            raise ValueError(f"{text!r} is not INDEX/TOTAL: write it like 0/3, or auto/3")
        total = int(written[2])
        if total == 0:
            raise ValueError(f"{text!r}: TOTAL must be at least 1")
        if written[1] == "auto":
            index, origin = _ordinal(text, environ, host_name)
            remedy = ": make TOTAL the number of replicas"
        else:
            index, origin, remedy = int(written[1]), "INDEX", ""
        if index >= total:
            raise ValueError(
                f"{text!r}: {origin} must be from 0 to TOTAL - 1, which is {total - 1}{remedy}"
            )
        return cls(index, total)

    @classmethod
    def here(cls, text: str) -> Self:
        """The same for this process and this host."""
        return cls.parse(text, os.environ, socket.gethostname())

    def holds(self, key: TargetKey) -> bool:
        """Whether a target is polled by this shard."""
        # `person` keeps this apart from the hash of a target's phase: a shard's polls spread evenly
        digest = hashlib.blake2b(
            f"{key.cms}/{key.cc_id}/{key.vdn}".encode(), digest_size=8, person=b"shard"
        ).digest()
        return jump(int.from_bytes(digest), self.total) == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.total}"


def _ordinal(text: str, environ: Mapping[str, str], host_name: str) -> tuple[int, str]:
    """The number at the end of a pod's or host's name, and whose it is."""
    origin, name = "POD_NAME", environ.get("POD_NAME", "")
    if not name:
        origin, name = "the host name", host_name.partition(".")[0]
    # only after a hyphen: the random end of a Deployment's pod name may be a digit
    ordinal = re.search(r"-([0-9]{1,9})\Z", name)
    if ordinal is None:
        raise ValueError(
            f"{text!r}: {origin} {name!r} does not end in an ordinal such as -0: "
            "run it in a StatefulSet, or write INDEX/TOTAL"
        )
    return int(ordinal[1]), f"the ordinal of {origin} {name!r}"


def jump(key: int, total: int) -> int:
    """The bucket of a key, from 0 to `total` - 1.

    Jump consistent hash, from Lamping and Veach, *A Fast, Minimal Memory, Consistent Hash
    Algorithm* (2014): even, and from `total` to `total` + 1 a key stays or goes to the new bucket.

    `key` has 64 bits, evenly distributed.
    """
    bucket, following = 0, 0
    while following < total:
        bucket = following
        key = (key * 2_862_933_555_777_941_757 + 1) % 2**64
        following = int((bucket + 1) * (2**31 / ((key >> 33) + 1)))
    return bucket


def part(config: Config, shard: Shard) -> Config:
    """What one shard polls of a configuration: its own targets, and the servers that have some.

    `max_concurrency` and `max_requests_per_second` protect a server whatever the number of shards:
    each shard gets the same share of them as of the targets. So the rates add up to the limit; the
    share of requests in flight is rounded up, so that each shard has at least one.
    """
    targets = tuple(target for target in config.targets if shard.holds(target.key))
    every = Counter(target.key.cms for target in config.targets)
    own = Counter(target.key.cms for target in targets)
    servers = []
    for server in config.servers:
        if share := own[server.name]:
            total, rate = every[server.name], server.max_requests_per_second
            servers.append(
                replace(
                    server,
                    max_concurrency=-(-server.max_concurrency * share // total),
                    max_requests_per_second=None if rate is None else rate * (share / total),
                )
            )
    return replace(config, servers=tuple(servers), targets=targets)
