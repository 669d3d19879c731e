"""`bucklerctl` for people and `buckler-server` for operators, one file per command group."""
