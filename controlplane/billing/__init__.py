"""Invoices, credit notes, payments and refunds, and the double-entry books behind them."""
