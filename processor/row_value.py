"""What all rows and their parts are made of."""

import msgspec


class RowValue(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False
):
    """Fields at their default are left out of the changelog."""
