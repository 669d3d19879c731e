"""What to install where: the builds there are, and the one that fits a machine."""
