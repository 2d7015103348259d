"""Metric names, and the limits of the alert rules.

Panels turn red at the limits of the alerts, so that colours and alerts agree.
"""

from typing import Final

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

TOO_LONG: Final = 3600
"""AgentRestTooLong: seconds of a rest, where no `max_rest` is set."""
WAITED_TOO_LONG: Final = 900
"""AgentRestApprovalsWaiting: seconds of a wait, where no `max_wait` is set."""
TOO_OVERDUE: Final = 600
"""AgentRestOverdue: seconds past the requested duration."""
STALE: Final = 600
"""AgentRestDataStale: seconds since the last success."""
LATE: Final = 5
"""AgentRestPollsLate: seconds by which a poll starts late."""
SKEWED: Final = 60
"""AgentRestClockSkew: seconds between the two clocks, either way."""
FLAPPING: Final = 0.25
"""AgentRestFlapping: the share of a target's polls that fail."""
CERTIFICATE: Final = 14 * 24 * 3600
"""AgentRestCertificateExpires: seconds until a server's certificate expires."""
