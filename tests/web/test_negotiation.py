"""What `Accept` and `Accept-Encoding` come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.exposition import Format
from exporter.web.negotiation import accepts_gzip, exposition_format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.7," + PROMETHEUS_3
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

weights = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2,
        PROMETHEUS_3,
        PROTOBUF_FIRST,
        "application/openmetrics-text",
        'APPLICATION/OpenMetrics-Text ; Version="1.0.0" ; Q=0.001',
        "application/openmetrics-text, text/plain",
        "text/plain;q=0, application/openmetrics-text;q=0.1",
        "*/*, text/plain;q=0.1, application/openmetrics-text;q=0.5",
        "application/openmetrics-text;q=0.5, text/plain;version=1.0.0",
    ],
)
def test_openmetrics_for_those_who_name_it(accept: str) -> None:
    """Every Prometheus of today does."""
    assert exposition_format(accept) is Format.OPENMETRICS


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        BROWSER,
        "text/plain",
        "application/*",
        "application/vnd.google.protobuf",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.0, */*",
        "application/openmetrics-text;q=0.4, text/plain;q=0.5",
        "application/openmetrics-text;q=0.4, text/*;q=0.5",
        "application/openmetrics-text;q=0.4, */*;q=0.5",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=nonsense",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=nan",
        ";;;,,,=",
    ],
)
def test_text_for_everyone_else(accept: str) -> None:
    """It is what every scraper and every person can read."""
    assert exposition_format(accept) is Format.TEXT


@given(openmetrics=weights, text=weights)
def test_the_heavier_format_wins(openmetrics: float, text: float) -> None:
    """In whichever order they are sent; 0 means never."""
    items = [f"application/openmetrics-text;q={openmetrics:.3f}", f"text/plain;q={text:.3f}"]
    expected = Format.OPENMETRICS if openmetrics >= max(text, 0.001) else Format.TEXT
    assert exposition_format(",".join(items)) is expected
    assert exposition_format(", ".join(reversed(items))) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("gzip;q=0.001", True),
        ("gzip, identity;q=0.5", True),
        ("gzip, *;q=0", True),
        ("", False),
        ("identity", False),
        ("br, deflate", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=", False),
        ("notgzip", False),
    ],
)
def test_gzip_for_those_who_want_it(header: str, *, expected: bool) -> None:
    """A refusal by `q=0` is one, which the library's own server does not see."""
    assert accepts_gzip(header) is expected


def test_only_the_first_kilobyte_counts() -> None:
    """A header of 22 kB took 60 ms to read."""
    assert exposition_format("," * 1000 + "application/openmetrics-text") is Format.TEXT
    assert not accepts_gzip("," * 1000 + "gzip")


@given(st.text())
def test_any_header_has_an_answer(header: str) -> None:
    """Headers come from anywhere."""
    assert exposition_format(header) in Format
    assert accepts_gzip(header) in {True, False}
