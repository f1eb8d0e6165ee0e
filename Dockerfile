# One image for the daemon and the monitor; compose.yaml says which is which.
#
#   docker build -t bifrost .
#
# 3.11 is the version that every change is tested with; CI has those after it, too.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
COPY . /src
RUN python -m pip wheel --no-cache-dir --no-deps -w /wheels /src /src/plugins/bifrost-pg /src/plugins/bifrost-paper /src/plugins/bifrost-ib /src/plugins/bifrost-monitor /src/plugins/bifrost-notify
RUN python -m venv /opt/bifrost
# The files by their names: an index may have something else that is called as we are.
RUN /opt/bifrost/bin/python -m pip install --no-cache-dir "$(echo /wheels/bifrost_engine-*.whl)[metrics,parquet]" /wheels/bifrost_pg-*.whl /wheels/bifrost_paper-*.whl /wheels/bifrost_ib-*.whl /wheels/bifrost_monitor-*.whl /wheels/bifrost_notify-*.whl
RUN /opt/bifrost/bin/python -m pip check

FROM python:${PYTHON}-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/bifrost --create-home bifrost && install -d -m 700 -o bifrost -g bifrost /var/lib/bifrost /var/lib/bifrost-monitor
COPY --from=build /opt/bifrost /opt/bifrost
ENV PATH=/opt/bifrost/bin:$PATH \
    PYTHONFAULTHANDLER=1 \
    BIFROST_CONFIG=/etc/bifrost/bifrost.yaml \
    BIFROST_STATE_DIR=/var/lib/bifrost \
    BIFROST_MONITOR_TOKENS=/var/lib/bifrost-monitor/tokens
USER 10001
WORKDIR /var/lib/bifrost
STOPSIGNAL SIGTERM
ENTRYPOINT ["bifrost"]
CMD ["run", "--json-logs"]
