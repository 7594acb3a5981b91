"""The machine: pure state of tasks, workers and queues."""
