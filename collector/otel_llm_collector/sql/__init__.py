"""Questions of others: one statement, read-only, within limits."""
