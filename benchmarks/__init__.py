"""Repeatable comparisons. Each module is a command of its own (`python -m benchmarks.NAME`) that prints a table.

Machines are noisy: a benchmark alternates what it compares within one run and prints medians and ratios. Figures that
we publish, with command and date, are in docs/benchmarks.md.
"""
