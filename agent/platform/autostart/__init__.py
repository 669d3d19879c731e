"""What this machine starts by itself: one file for each operating system says where to look."""
