"""Who may connect: OCPP's security profiles."""
