"""Nights: what happens, and who is told. `make nights` plays them."""
