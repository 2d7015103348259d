"""Metric names, and the limits of the alert rules.

Panels turn red at the limits of the alerts, which are those of deploy/prometheus/alerts.yaml.
"""

from pathlib import Path
from typing import Final

import yaml

from exporter.durations import parse_duration

UP: Final = "agent_rest_up"
RESTING: Final = "agent_rest_resting_agents"
APPROVED: Final = "agent_rest_approved_agents"
WAITING: Final = "agent_rest_waiting_agents"
REASON: Final = "agent_rest_waiting_reason_agents"
LIMIT: Final = "agent_rest_max_resting_agents"
LONGEST: Final = "agent_rest_longest_rest_seconds"
OVERDUE: Final = "agent_rest_overdue_agents"
LONGEST_OVERDUE: Final = "agent_rest_longest_overdue_seconds"
LONGEST_WAIT: Final = "agent_rest_longest_wait_seconds"
RESTING_LONGER: Final = "agent_rest_resting_longer_agents"
DOUBT: Final = "agent_rest_doubt"
MAX_REST: Final = "agent_rest_max_rest_seconds"
MAX_WAIT: Final = "agent_rest_max_wait_seconds"
SUCCESS: Final = "agent_rest_last_success_timestamp_seconds"
FAILING: Final = "agent_rest_failing"
POLLS: Final = "agent_rest_polls_total"
FAILURES: Final = "agent_rest_poll_failures_total"
UNCLASSIFIED: Final = "agent_rest_unclassified_agents"
UNLISTED: Final = "agent_rest_unlisted_agents"
UNUSABLE: Final = "agent_rest_unusable_begin_times"
OWN: Final = "agent_rest_exporter_"
"""The prefix of the families of the exporter itself."""

_ALERTS: Final = yaml.safe_load(
    (Path(__file__).parents[2] / "prometheus" / "alerts.yaml").read_text(encoding="utf-8")
)["alerts"]


def _seconds(alert: str, key: str = "limit") -> int:
    """A duration of an alert, which has no fractions of a second."""
    return round(parse_duration(_ALERTS[alert][key]))


TOO_LONG: Final = _seconds("AgentRestTooLong")
"""AgentRestTooLong: seconds of a rest, where no `max_rest` is set."""
WAITED_TOO_LONG: Final = _seconds("AgentRestApprovalsWaiting")
"""AgentRestApprovalsWaiting: seconds of a wait, where no `max_wait` is set."""
TOO_OVERDUE: Final = _seconds("AgentRestOverdue")
"""AgentRestOverdue: seconds past the requested duration."""
STALE: Final = _seconds("AgentRestDataStale")
"""AgentRestDataStale: seconds since the last success."""
LATE: Final = _seconds("AgentRestPollsLate", "late")
"""AgentRestPollsLate: seconds by which a poll starts late."""
SKEWED: Final = _seconds("AgentRestClockSkew")
"""AgentRestClockSkew: seconds between the two clocks, either way."""
FLAPPING: Final = int(_ALERTS["AgentRestFlapping"]["share"].removesuffix("%")) / 100
"""AgentRestFlapping: the share of a target's polls that fail."""
CERTIFICATE: Final = _seconds("AgentRestCertificateExpires")
"""AgentRestCertificateExpires: seconds until a server's certificate expires."""
