# Two images from one file. Each step is the one that `make setup` takes, so that it is tested with every change.
#
#   docker build --target train -t llmrec-train .
#   docker build --target serve -t llmrec-serve .
#   docker build --target train --build-arg BASE=nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04 -t llmrec-train-cuda .
#   docker run --rm -v "$PWD/work:/data" llmrec-train llmrec validate /data/atelier
#
# TORCH_INDEX_URL names an index with PyTorch's CPU builds; without it the CUDA build is installed.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# python3-venv and a compiler where the base has none; versions are those of the base's own release
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends make g++ python3 python3-venv python3-dev \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 llmrec \
 && mkdir -p /opt/llmrec /data \
 && chown llmrec /opt/llmrec /data
WORKDIR /opt/llmrec
USER 1000
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 PATH=/opt/llmrec/.venv/bin:${PATH}

FROM base AS train
ARG TORCH_INDEX_URL=""
COPY --chown=llmrec pyproject.toml constraints.txt README.md LICENSE Makefile ./
COPY --chown=llmrec setup setup
COPY --chown=llmrec llmrec llmrec
RUN LLMREC_NO_VLLM=1 setup/install.sh
COPY --chown=llmrec prompts prompts
COPY --chown=llmrec data_builders data_builders
CMD ["llmrec", "--help"]

FROM base AS serve
ARG TORCH_INDEX_URL=""
COPY --chown=llmrec pyproject.toml constraints.txt README.md LICENSE Makefile ./
COPY --chown=llmrec setup setup
COPY --chown=llmrec llmrec llmrec
RUN setup/install.sh
CMD ["llmrec", "--help"]
