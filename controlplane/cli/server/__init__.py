"""The commands of `buckler-server`, one file per group."""
