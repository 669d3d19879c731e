"""The weak workers that open what is hostile, and the service that keeps a pool of them."""
