"""Organisations, people, roles, API tokens, sign-in and the audit of every change."""
