"""How this capability says no."""

from controlplane.runtime.refusal import Kind, Refusal


def detection_not_found() -> Refusal:
    """The same answer for uuids that never existed and for other organisations'."""
    return Refusal(
        Kind.NOT_FOUND,
        "DETECTION_NOT_FOUND",
        "there is no such detection in your organisation",
        "List the detections to find its id: bucklerctl detection list",
    )


def too_many_incidents(limit: int) -> Refusal:
    """Nothing of the batch was stored."""
    return Refusal(
        Kind.INVALID,
        "TOO_MANY_INCIDENTS",
        f"a report has at most {limit} incidents",
        "Send them in smaller batches; nothing of this one was stored",
        facts={"limit": str(limit)},
    )


def incident_not_found() -> Refusal:
    """The same answer for ids that never existed and for other organisations'."""
    return Refusal(
        Kind.NOT_FOUND,
        "INCIDENT_NOT_FOUND",
        "there is no such incident in your organisation",
        "List the incidents to find its id: bucklerctl incident list",
    )


def report_unreadable() -> Refusal:
    """What lies in the buffer is none of ours."""
    return Refusal(
        Kind.INVALID,
        "REPORT_UNREADABLE",
        "what was in the buffer is no report of a device",
        "Find out who else writes to the stream; no device lost anything",
    )


def report_not_found() -> Refusal:
    """No such dead report."""
    return Refusal(
        Kind.NOT_FOUND,
        "REPORT_NOT_FOUND",
        "there is no such report among those that could not be stored",
        "List them: buckler-server detections dead",
    )
