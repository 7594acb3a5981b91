"""Bytes to events and back: pure and total."""
