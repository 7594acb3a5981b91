"""What a capture says as a whole: records of its tasks and workers, and a summary."""
