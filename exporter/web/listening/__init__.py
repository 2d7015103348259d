"""Listen addresses, their sockets, and the server on them."""
