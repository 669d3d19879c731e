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


def bundle_not_wanted() -> Refusal:
    """The same for commands of others, of another kind, and for those that are over."""
    return Refusal(
        Kind.PRECONDITION,
        "BUNDLE_NOT_WANTED",
        "no command that is under way asks this device for a bundle of that name",
        "Send nothing; support can ask again",
    )


def bundle_damaged() -> Refusal:
    """It is not what the device said it would send."""
    return Refusal(
        Kind.INVALID,
        "BUNDLE_DAMAGED",
        "what arrived does not have the digest that was announced, and was given up",
        "Send it again from its beginning",
    )


def bundle_not_found() -> Refusal:
    """The same answer for ids that never existed and for other organisations' ids."""
    return Refusal(
        Kind.NOT_FOUND,
        "BUNDLE_NOT_FOUND",
        "there is no such bundle in your organisation",
        "List them to find its id: bucklerctl diagnostics list",
    )


def bundle_not_ready(state: str) -> Refusal:
    """It cannot be read now."""
    return Refusal(
        Kind.PRECONDITION,
        "BUNDLE_NOT_READY",
        f"this bundle is {state}",
        "Look again later, or ask the device anew: bucklerctl diagnostics request DEVICE",
        facts={"state": state},
    )


def file_not_written(path: str, why: str) -> Refusal:
    """The disk or the folder of the person who downloads refuses, or the file is there already."""
    return Refusal(
        Kind.ENVIRONMENT,
        "FILE_NOT_WRITTEN",
        f"{path} cannot be written: {why}",
        "Give another file with --to; nothing is overwritten",
    )
