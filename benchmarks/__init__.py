"""Named source_to_sink; see ``python -m benchmarks --help``."""
