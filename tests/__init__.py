"""Tests: unit (mirrors the sources), contract, integration, e2e, property, fuzz."""
