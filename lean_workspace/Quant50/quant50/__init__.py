"""The decision core of Quant50: NumPy, LightGBM and cvxpy; no LEAN, no files, no network, no clock, no logging."""
