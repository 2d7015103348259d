"""The daemon, and what keeps it running: reloads, systemd, logs."""
