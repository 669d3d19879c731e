"""The EICAR test file, built from pieces so that no file of this repository is one."""

EICAR: bytes = b"".join((rb"X5O!P%@AP[4\PZX54(P^)7CC)7}", b"$EICAR-STANDARD-", b"ANTIVIRUS-TEST-", b"FILE!", b"$H+H*"))
assert len(EICAR) == 68
