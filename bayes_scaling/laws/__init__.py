"""Scaling laws as plain array functions: NumPy, xarray or PyTensor in, the same out."""
