"""A payment provider of our own: honest about keys and money, dishonest on demand.

`bank.FakeBank` keeps the state and answers as Stripe does, `transport.BankTransport` lets Stripe's own library talk to
it in this process, `server.serving` lets anybody talk to it over HTTP on loopback.
"""
