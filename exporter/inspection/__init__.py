"""One server as a person looks at it: record a poll, hide what is personal, find its settings."""
