"""Tests of the Debian package in a machine of its own."""
