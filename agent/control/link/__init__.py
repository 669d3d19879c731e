"""The two ways to the control plane: check-ins, and the stream of hints and commands beside them."""
