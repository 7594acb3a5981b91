"""Delivery of telemetry over OTLP."""
