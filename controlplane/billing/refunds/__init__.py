"""Giving money back: who gets how much until when, asked for by customers, carried out once."""
