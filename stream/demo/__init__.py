"""``celery-stream demo``: a broker, a worker and a shop of its own, and the service on top."""
