# The image that flow runs are executed in: a virtual environment with the locked packages, the library's wheel and the
# project's own packages, and nothing else. Build it from a checkout: docker build --tag headworks:0.2.0 .
#
# Nothing here needs BuildKit. Where packages come from is left to the base image and to --build-arg HTTPS_PROXY, which
# Docker keeps out of the image: no index is named here, and no credential belongs here.

# Another base needs glibc, useradd, and a Python that the locks are made for.
ARG BASE=python:3.12-slim

FROM ${BASE} AS builder
WORKDIR /build

# First what changes seldom. The environment holds no pip: the base's installs into it from outside.
# Wheels only: nothing is compiled and no package runs code of its own while it is installed.
# All that the shipped deployments need, churn-weekly-docker among them. Without models, 210 MB less:
# --build-arg LOCK=locks/small.txt
ARG LOCK=locks/runtime.txt
COPY locks/runtime.txt locks/small.txt locks/
RUN python3 -m venv --without-pip /opt/headworks \
    && python3 -m pip --python /opt/headworks/bin/python install --no-cache-dir --no-compile --no-deps \
        --only-binary :all: --require-hashes --requirement "$LOCK" \
    && find /opt/headworks/lib/python3*/site-packages \( -path '*/scipy/*' -o -path '*/sklearn/*' \) \
        -type d -name tests -prune -exec rm -r {} +

# The build backend comes out of the lock too, with its hashes, into the builder alone.
COPY locks/dev.txt locks/
RUN awk '/^[a-z0-9]/ { keep = /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/ } keep' locks/dev.txt >locks/build.txt \
    && python3 -m venv --without-pip /opt/backend \
    && python3 -m pip --python /opt/backend/bin/python install --no-cache-dir --no-deps \
        --only-binary :all: --require-hashes --requirement locks/build.txt

COPY . .
RUN /opt/backend/bin/hatchling build --target wheel --directory dist \
    && python3 -m pip --python /opt/headworks/bin/python install --no-cache-dir --no-compile --no-deps --no-index dist/*.whl \
    && cp -r flows tasks blocks deployments src/shop src/crm "$(/opt/headworks/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && HEADWORKS_PROJECT=shop.project:SHOP /opt/headworks/bin/python -c 'import flows.sales'

# LightGBM looks for OpenMP in the system, which the base does not have; the very library comes with scikit-learn.
RUN openmp="$(find /opt/headworks/lib -path '*scikit_learn.libs/libgomp*' | head -n 1)" \
    && if test -n "$openmp"; then ln -s "$openmp" /opt/headworks/lib/libgomp.so.1 \
        && LD_LIBRARY_PATH=/opt/headworks/lib /opt/headworks/bin/python -c 'import lightgbm'; fi

# Compiled here, since the image's user may not write there and every run would compile all of it anew. Unchecked: the
# sources in an image do not change, so their times need not be asked for either.
RUN /opt/headworks/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/headworks/lib


FROM ${BASE}
LABEL org.opencontainers.image.title="headworks" \
      org.opencontainers.image.description="Prefect flows that take data in exactly once, hold back what is bad, and account for every row." \
      org.opencontainers.image.licenses="Apache-2.0"

# No installer stays, not even the one that Python brings along to make another, and no program that runs as somebody else.
# The standard library is compiled for the same reason as above. The user has a number, so that an orchestrator can tell that
# it is not root. What it may write: its home, and /data, where a volume with the lake is mounted.
RUN python3 -m pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel \
    && stdlib="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && rm -r "$stdlib/ensurepip" \
    && python3 -m compileall -q -j 0 "$stdlib" \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && useradd --uid 10001 --user-group --create-home --home-dir /home/headworks --shell /usr/sbin/nologin headworks \
    && install --directory --owner headworks --group headworks /data

COPY --from=builder /opt/headworks /opt/headworks

ENV PATH=/opt/headworks/bin:$PATH \
    LD_LIBRARY_PATH=/opt/headworks/lib \
    PYTHONUNBUFFERED=1 \
    HEADWORKS_PROJECT=shop.project:SHOP \
    PREFECT_HOME=/home/headworks/.prefect \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    SODA_CORE_TELEMETRY_ENABLED=false

USER 10001:10001
WORKDIR /home/headworks
