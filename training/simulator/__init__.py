"""The simulator: trades raw daily bars as LEAN does, without LEAN."""
