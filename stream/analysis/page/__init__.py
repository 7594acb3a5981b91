"""What `replay --html` writes: a report as one page that needs nothing else."""
