"""Building the wheel and the Debian package; nothing of this is installed."""
