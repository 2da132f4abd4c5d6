"""Side-by-side measurements, `python -m tests.benchmarks [PART ...]`. They report, and never fail on time.

They use what the package offers to everybody, so that they also measure an older version of it: `--package FOLDER`.
"""
