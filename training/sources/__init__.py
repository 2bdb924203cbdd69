"""Market data sources: each yields the same validated records; none knows the store."""
