"""One file per command of `buckler`."""
