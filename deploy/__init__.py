"""What it takes to install Buckler: definitions of its services, packages, containers."""
