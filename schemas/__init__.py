"""The contracts of Chargelog: records, topics, codec, OCPP-J messages, errors."""
