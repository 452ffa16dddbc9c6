"""What the benchmarks share: the peers and their environments, calls answered in this process, figures."""
