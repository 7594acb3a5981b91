"""`celery-stream doctor`: looks at each broker and receiver step by step, judges, and says why."""
