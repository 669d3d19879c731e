"""The control plane. Start reading at `controlplane.app`, the composition root, or `docs/paths/activation.md`."""
