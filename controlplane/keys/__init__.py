"""Signing keys and the certificate authority. Only `controlplane.app` may import this room."""
