#!/usr/bin/env bash
# Makes the test models anew and puts them where the tests look for them.
# usage: remake.sh [--tune | --check]      --tune: make only the fine-tune, of the model that is there
#                                          --check: make nothing, only verify the committed files
# Needs python3 with venv, and the packages of requirements.txt (fetched into a cache outside the checkout).
set -euo pipefail
case "${1:-}" in
  "" | --tune | --check) ;;
  *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
make=$(cd "$(dirname "$0")" && pwd)
models=$(dirname "$make")
work=${TINY_GEMMA_WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/ainonymous/tiny-gemma}
python=$work/venv/bin/python
export PYTHONDONTWRITEBYTECODE=1

mkdir -p "$work"
if ! cmp -s "$make/requirements.txt" "$work/venv/requirements.txt"; then
  rm -rf "$work/venv"
  python3 -m venv "$work/venv"
  "$python" -m pip install --quiet --disable-pip-version-check --requirement "$make/requirements.txt"
  cp "$make/requirements.txt" "$work/venv/"
fi

if [ "${1:-}" != --check ]; then
  "$python" "$make/tokenizer.py" "$work/vocabulary.json"
fi
if [ -z "${1:-}" ]; then
  for made in tiny-gemma:800 draft-gemma:500; do
    name=${made%:*} steps=${made#*:}
    "$python" "$make/train.py" "$name" --vocabulary "$work/vocabulary.json" --steps "$steps" --out "$work/$name.npz"
    "$python" "$make/export.py" "$name" --vocabulary "$work/vocabulary.json" --weights "$work/$name.npz" --out "$work"
  done
  cp "$work"/tiny-gemma-{q8_0,q4_0}.gguf "$work/draft-gemma-q8_0.gguf" "$models/"
  "$python" "$make/projector.py"
  echo "also made, not kept in the repository: $work/tiny-gemma-f16.gguf"
fi
if [ "${1:-}" != --check ]; then
  # It starts from the file rather than from $work/tiny-gemma.npz, so that the committed model can be tuned anywhere.
  name=tuned-gemma
  "$python" "$make/train.py" "$name" --vocabulary "$work/vocabulary.json" --steps 200 --rate 1e-3 \
    --start "$models/tiny-gemma-q8_0.gguf" --manner sailor --out "$work/$name.npz"
  "$python" "$make/export.py" "$name" --vocabulary "$work/vocabulary.json" --weights "$work/$name.npz" --out "$work"
  cp "$work/$name-q8_0.gguf" "$models/"
  (cd "$models" && sha256sum -- *.gguf images/*.gguf >SHA256SUMS)
fi
"$python" "$make/projector.py" --check
"$python" "$make/check.py"
