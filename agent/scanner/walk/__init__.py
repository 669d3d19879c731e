"""What there is to scan: files found, opened, counted, and handed on at a measured pace."""
