"""Forks this program, so that a cell has all that is in its memory: the cell's process, and its small parent. Linux."""
