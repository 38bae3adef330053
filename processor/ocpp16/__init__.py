"""The rules of OCPP 1.6."""
