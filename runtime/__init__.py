"""What every service shares below its domain: settings, logs, health and metrics, Kafka access."""
