"""Telling the control plane: the outbox and its sender."""
