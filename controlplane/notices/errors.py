"""How notices say no."""

from controlplane.runtime.refusal import Kind, Refusal


def notice_unknown(notice_id: str) -> Refusal:
    """There is none, or it belongs to somebody else: the answer is the same."""
    return Refusal(
        Kind.NOT_FOUND,
        "NOTICE_UNKNOWN",
        f"your organisation was sent no notice {notice_id}",
        "List what there is: bucklerctl notice list",
        facts={"notice_id": notice_id},
    )
