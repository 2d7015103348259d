"""Tests of exporter/inspection."""
