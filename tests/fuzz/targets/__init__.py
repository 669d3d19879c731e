"""What we parse ourselves, one function per parser, for whoever brings the bytes.

`tests/fuzz/test_targets.py` brings a hundred per target in `make test`; `python -m tests.fuzz.campaign TARGET` brings
as many as it can, guided by the code they reach.
"""
