"""What is kept for how long: one table of rules, and a job that deletes in small steps."""
