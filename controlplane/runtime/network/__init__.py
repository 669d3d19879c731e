"""Ports and what comes in through them: the gRPC and HTTP servers, their TLS, and balancers in front of them."""
