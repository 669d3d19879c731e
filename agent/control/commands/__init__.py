"""Every kind of command that this agent can do, one file each; the control plane has a file of the same name."""
