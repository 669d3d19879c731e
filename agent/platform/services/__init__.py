"""The background service under the supervisor of this system: one file for each, and what is said to it."""
