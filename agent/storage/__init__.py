"""The agent's database: SQLite, one file, shared by the service and the commands of `buckler`."""
