# syntax=docker/dockerfile:1
# The service as an image: wheels are made in the first stage and installed in the second, which so
# holds neither the sources nor a build tool. Runs as nobody in particular on a read-only root.
#
#   docker build -t celery-stream .
#   docker run --read-only -e CELERY_BROKER_URL=redis://broker:6379/0 -p 9540:9540 celery-stream

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY . .
# kombu's Redis transport imports packaging without requiring it: the workers of
# `celery-stream deploy compose` run from this image too.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --wheel-dir /wheels . "packaging>=23,<27"

FROM python:3.13-slim-bookworm
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="celery-stream" \
      org.opencontainers.image.description="Metrics, traces and logs of a Celery cluster over OTLP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile --no-index /wheels/*.whl \
    && groupadd --gid 10001 stream \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin stream

# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STREAM_LISTEN=0.0.0.0:9540
EXPOSE 9540
# Whether the process answers, over HTTP or HTTPS, not whether the cluster is well: a restart would
# not help that.
HEALTHCHECK --interval=15s --timeout=3s --start-period=15s CMD ["python", "-m", "stream.alive"]
ENTRYPOINT ["celery-stream"]
CMD ["run"]
