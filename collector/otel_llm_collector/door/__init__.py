"""Who may come in: addresses, connections, TLS and keys."""
