#!/usr/bin/env bash
# All figures from ten minutes on a GPU: bash benchmarks/gpu_all.sh FOLDER [--smoke] [--parts NAME ..] [--seconds S]
# (--help says more). PYTHON names the interpreter.
root=$(cd "$(dirname "$0")/.." && pwd)
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python3}" -m veclab.bench.gpu_all "$@"
