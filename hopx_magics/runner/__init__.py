"""What runs a Python cell in place of `python cell.py`: a program of its own, which imports nothing of this package.

    python -P hopx_magics/runner CELL

It needs the standard library of Python 3.8 or newer.
"""
