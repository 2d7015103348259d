"""Addresses and sockets that the pages are served on."""
