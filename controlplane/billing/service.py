"""The use cases of billing. Other capabilities call these and nothing else of this room.

How a renewal uses it, in one unit of work of its own:

    invoice = await billing.issue(uow, InvoiceDraft(…, lines=(…recurring…, …tax…)))   # number, hash, books, balance
    await billing.collect(uow, org_id=…, invoice_id=invoice.invoice_id, at=renewal_day)   # charged by a durable job

The job asks the `ChargeGate` whether the charge was announced; `BillingListener.invoice_paid` and `.payment_failed` are
called in the transaction that records the outcome. How an upgrade computes its credit:

    for live in await billing.live_lines(uow.connection, org_id=…, subscription_id=…, at=now):
        Line(kind=PRORATION_CREDIT, source=live.ref, calculation=Prorated(live.creditable, days_left, days, credit=True))
"""
