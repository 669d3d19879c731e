"""What is refused about bundles."""

from controlplane.runtime.refusal import Kind, Refusal


def bundle_not_readable(why: str) -> Refusal:
    """The file is no bundle, or not one that can be trusted to be read."""
    return Refusal(
        Kind.INVALID,
        "BUNDLE_NOT_READABLE",
        f"this is no diagnostics bundle that can be read: {why}",
        "Give the file that `buckler diagnostics create` wrote, unchanged",
    )


def bundle_too_new(found: str, known: int) -> Refusal:
    """A later version made it."""
    return Refusal(
        Kind.INVALID,
        "BUNDLE_TOO_NEW",
        f"this bundle has format {found or 'of no kind'}, and this program knows up to {known}",
        "Use the bucklerctl that belongs to the version on the device, or a newer one",
    )
