#!/usr/bin/env bash
# Installs the peers that `npm run bench` measures against, into bench/.venv.
set -euo pipefail
cd "$(dirname "$0")"
python3 -m venv .venv
.venv/bin/pip install --quiet torch==2.15.0 transformers==5.23.0 peft==0.21.2 trl==1.16.0 datasets==5.2.0 sentence-transformers==6.2.0 faiss-cpu==1.15.1 \
  bm25s==0.3.16 numba==0.68.0 PyStemmer==3.1.0 pytrec-eval-terrier==0.5.11 llama-cpp-python==0.3.36
