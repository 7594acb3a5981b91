"""``celery-stream top``: the live page's overview in a terminal."""
