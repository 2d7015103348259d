"""What the dashboards share with the exporter and with the alert rules: names and limits.

The limits are the alert rules' own, so that a colour and an alert never contradict each other.
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
SUCCESS: Final = "agent_rest_last_success_timestamp_seconds"
FAILING: Final = "agent_rest_failing"
OWN: Final = "agent_rest_exporter_"
"""How every family begins that the exporter has of itself."""

TOO_LONG: Final = 3600
"""Seconds of a rest: AgentRestTooLong."""
TOO_OVERDUE: Final = 600
"""Seconds beyond what was asked for: AgentRestOverdue."""
STALE: Final = 600
"""Seconds since the last success: AgentRestDataStale."""
LATE: Final = 5
"""Seconds by which a poll starts late: AgentRestPollsLate."""
SKEWED: Final = 60
"""Seconds between two clocks, either way: AgentRestClockSkew."""
