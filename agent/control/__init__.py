"""The link to the control plane: identity, enrolment, check-ins, entitlements."""
