# The service as an image: the wheel is built in the first stage, so that the second holds neither
# the sources nor a build tool.
#
#   docker build -t celery-stream .
#   docker run -e CELERY_BROKER_URL=redis://broker:6379/0 -p 9540:9540 celery-stream

FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile --no-index --find-links /wheels celery-stream \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin stream

# By number, so that Kubernetes can see that it is not root.
USER 10001
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STREAM_LISTEN=0.0.0.0:9540
EXPOSE 9540
STOPSIGNAL SIGTERM
# Whether the process answers, not whether the cluster is well: a restart here would not help that.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['STREAM_LISTEN'].rpartition(':')[2] + '/live', timeout=2)"]
ENTRYPOINT ["celery-stream"]
CMD ["run"]
