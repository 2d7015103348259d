"""A target in the query of a URL: of `/probe`, of its page, and of what `/sd` lists."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from exporter.store import Store, Target, TargetKey
from exporter.web.target_query import RequestError

_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def parameters(key: TargetKey) -> Mapping[str, str]:
    """The query that asks for a target."""
    return {"cms": key.cms, "cc_id": str(key.cc_id), "vdn": str(key.vdn)}


def asked_for(query: Collection[tuple[str, str]], path: str) -> TargetKey:
    """The key of the target that a query's names and values ask for, configured or not.

    `path` is that of the page, for an example. Raises RequestError unless it is exactly one.
    """
    wrong: list[str] = []
    values: dict[str, str] = {}
    for name in TargetKey._fields:
        given = [value for key, value in query if key == name and value]
        if len(given) != 1:
            wrong.append(f"{name} is given {len(given)} times" if given else f"{name} is missing")
        elif name != "cms" and not _NUMBER.fullmatch(given[0]):
            wrong.append(f"{name} is not a whole number")
        else:
            values[name] = given[0]
    if wrong:
        raise RequestError(
            f"{', '.join(wrong)}: write it like {path}?cms=lima&cc_id=1&vdn=2; /sd lists all "
            "targets"
        )
    return TargetKey(values["cms"], int(values["cc_id"]), int(values["vdn"]))


def configured(store: Store, key: TargetKey) -> Target:
    """The target with this key. Raises RequestError if there is none."""
    try:
        return store.state(key).target
    except KeyError:
        raise RequestError(
            f"no target is configured with cms {key.cms!r}, cc_id {key.cc_id} and vdn {key.vdn}: "
            "/sd lists all targets"
        ) from None
