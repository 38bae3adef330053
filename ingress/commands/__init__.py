"""The central system's own CALLs, from `ocpp.commands`."""
