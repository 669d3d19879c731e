"""Every kind of command, one file each; the device has a file of the same name in `agent/control/commands`."""
