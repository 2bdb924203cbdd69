"""The market store: one DuckDB file of everything that the panel is made from."""
