"""Offline work: market store, training, walk-forward, simulator; `python -m training`."""
