"""ClickHouse's HTTP interface: what a request asks, and how the answer is written for the client that asked."""
