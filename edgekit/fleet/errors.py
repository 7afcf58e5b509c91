"""What can go wrong with a fleet, in one sentence each."""

from __future__ import annotations

from edgekit.errors import InvalidRequest, RunFailed


class FleetError(InvalidRequest):
    """A fleet, a board or a certificate is not what was asked for; the message says what to do."""


class FleetLost(RunFailed):
    """A fleet is gone or no board of it came; what was measured is kept."""
