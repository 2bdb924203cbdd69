"""Reports: metrics and the daily PDF; `python -m reports`."""
