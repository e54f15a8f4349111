# The product alone; a project is mounted at /project or copied into an image made from this one. Every package is checked against its hash.
ARG PYTHON=python:3.12-slim
FROM ${PYTHON} AS build
COPY requirements/installer.txt requirements/image.txt /src/requirements/
RUN pip install --no-cache-dir --require-hashes -r /src/requirements/installer.txt \
    && python -m venv --without-pip /opt/dinmo \
    && uv pip install --no-cache --python /opt/dinmo/bin/python --require-hashes -r /src/requirements/image.txt
COPY pyproject.toml README.md LICENSE /src/
COPY dinmo_pipeline /src/dinmo_pipeline
RUN uv pip install --no-cache --python /opt/dinmo/bin/python --no-index --no-deps --no-build-isolation /src

FROM ${PYTHON}
RUN useradd --uid 10001 --no-create-home dinmo \
    && mkdir -p /project /var/lib/dinmo/dagster \
    && printf '#!/bin/sh\nset -e\ndinmo instance init\nexec "$@"\n' > /usr/local/bin/start && chmod 755 /usr/local/bin/start \
    && chown -R dinmo: /var/lib/dinmo && chmod 700 /var/lib/dinmo
COPY --from=build /opt/dinmo /opt/dinmo
ENV PATH=/opt/dinmo/bin:$PATH DINMO_HOME=/var/lib/dinmo DAGSTER_HOME=/var/lib/dinmo/dagster PYTHONTZPATH=
USER 10001
WORKDIR /project
VOLUME /var/lib/dinmo
EXPOSE 3000
# Before either of Dagster's processes, which may start at once.
ENTRYPOINT ["start"]
CMD ["dagster-daemon", "run"]
