"""Which VDNs an entry means: `7`, or a range such as `1-40`.

Pure. The bounds are the vendor's: *Querying Agent Rest Information*, request parameters.
"""

import re

LOWEST, HIGHEST = 1, 5000
#: A range as text, for the JSON Schema too.
PATTERN = r"^[0-9]{1,4}-[0-9]{1,4}$"


def parse_vdns(item: object) -> range:
    """The VDNs of one number, or of one range with both of its ends.

    Raises:
        ValueError: with a sentence that does not repeat the value.
    """
    first, last = 0, 0
    if isinstance(item, int) and not isinstance(item, bool):
        first = last = item
    elif isinstance(item, str) and re.fullmatch(PATTERN, item, re.ASCII):
        first, last = map(int, item.split("-"))
        if first > last:
            raise ValueError(f"a range goes upwards: write {last}-{first}")
    if not LOWEST <= first <= last <= HIGHEST:
        raise ValueError(
            f"must be a whole number from {LOWEST} to {HIGHEST}, a range such as 1-40, or a list"
            " of these"
        )
    return range(first, last + 1)
