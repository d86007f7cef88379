# The image of compose.yaml: the wheel and what running needs, for a user without rights.
FROM python:3.11-slim@sha256:be1575ed968de893bd54f4c56315ff7c4736ce522c1bca08fd521731aafc0d76 AS wheel
WORKDIR /src
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN python -m hatchling build --target wheel --directory /wheel

FROM python:3.11-slim@sha256:be1575ed968de893bd54f4c56315ff7c4736ce522c1bca08fd521731aafc0d76
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock
COPY --from=wheel /wheel /tmp/wheel
RUN pip install --no-cache-dir --no-deps /tmp/wheel/*.whl \
    && rm -r /tmp/wheel /tmp/requirements.lock \
    && useradd --system --create-home --home-dir /var/lib/quotemill quotemill
USER quotemill
WORKDIR /var/lib/quotemill
ENV QUOTEMILL_HOME=/var/lib/quotemill
VOLUME /var/lib/quotemill
ENTRYPOINT ["quotemill"]
CMD ["schedule", "serve"]
