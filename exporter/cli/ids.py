"""IDs of call centers and VDNs, as commands are given them."""

from exporter.server import CC_IDS, VDNS


def parse_cc_id(text: str) -> int:
    """ID of a call center. Raises ValueError with a sentence."""
    return _number(text, CC_IDS)


def parse_vdn(text: str) -> int:
    """ID of a VDN. Raises ValueError with a sentence."""
    return _number(text, VDNS)


def _number(text: str, known: range) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) in known):
        raise ValueError(f"{text!r} is not a whole number from {known[0]} to {known[-1]}")
    return int(text)
