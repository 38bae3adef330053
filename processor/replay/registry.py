"""The schema registry, where one is configured."""

from schemas.codec import Registry


def registry_at(url: str | None) -> Registry | None:
    """The registry; None where no URL is set, and then its client is not even loaded.

    That client is half of what a process takes to start, and a run may start several.
    """
    if url is None:
        return None
    from schemas.registry import registry_for  # noqa: PLC0415 - see above

    return registry_for(url)
