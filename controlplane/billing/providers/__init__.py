"""Whoever moves the money; each implements `billing.ports.PaymentProvider`."""
