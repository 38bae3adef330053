"""Benchmarks: `make bench`, or `python -m bench`. How to read and extend: docs/benchmarks.md."""
