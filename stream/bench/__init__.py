"""``celery-stream bench``: what one process takes on this machine, or beside a broker of yours."""
