"""The websocket of a charge point, and what it may hold."""
