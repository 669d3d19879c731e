"""The service on a device. Start reading at `agent.app`, the composition root, or `docs/paths/file-event.md`."""
