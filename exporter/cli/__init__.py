"""The command `agent-rest-exporter`: flags, commands, exit statuses."""
