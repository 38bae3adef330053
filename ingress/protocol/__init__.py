"""What a charge point's message is, and what is answered: OCPP-J without I/O."""
