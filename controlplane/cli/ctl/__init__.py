"""The commands of `bucklerctl`, one file per group."""
