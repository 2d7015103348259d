"""When each server is polled, and what becomes of a poll."""
