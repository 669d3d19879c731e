"""What built-in signatures must fulfil, one small check each; docs/adr/0030 says why.

`python -m tests.signatures_lint` prints what breaks them, and `tests/unit/signatures` fails on it. A check is a
function from a rule, or from the pack, to complaints, so that it can be tested by itself.
"""
