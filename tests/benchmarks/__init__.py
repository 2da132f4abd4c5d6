"""Side-by-side measurements, `python -m tests.benchmarks [NAME ...]`. They report and never fail."""
