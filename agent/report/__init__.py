"""How detections reach the control plane: an outbox that survives a crash, a sender that keeps trying."""
