"""celery-stream: what a Celery cluster does, as metrics, spans and logs."""

__version__ = "0.1.0"
