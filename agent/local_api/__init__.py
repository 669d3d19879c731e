"""gRPC over Unix sockets, for `buckler` on the same machine."""
