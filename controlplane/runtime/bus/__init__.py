"""Hints between the replicas of one control plane, by memory, PostgreSQL or NATS behind one port."""
