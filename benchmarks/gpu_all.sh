#!/usr/bin/env bash
# Everything that is worth measuring on a GPU machine, in one call and within 10 minutes:
#
#   bash benchmarks/gpu_all.sh FOLDER            GPU tests, all benchmarks, then training in the document's setting
#   bash benchmarks/gpu_all.sh FOLDER --smoke    the same on a CPU, as small as can be: a check that it works
#
# Results (JSON, logs, the run's metrics and last network) go to FOLDER. PYTHON names the interpreter.
set -uo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: gpu_all.sh FOLDER [--smoke]}
python=${PYTHON:-python3}
mkdir -p "$folder"
failed=0

part() { # part NAME SECONDS COMMAND...: runs a command within a time, its output to the folder and here
    local name=$1 seconds=$2
    shift 2
    echo "== $name"
    if ! timeout --signal=INT --kill-after=20 "$seconds" "$@" 2>&1 | tee "$folder/$name.log"; then
        echo "== $name failed" && failed=1
    fi
}

if [ "${2:-}" = --smoke ]; then
    device=cpu bench=(--quick --repeats 1 --network small)
    training=(--preset quick --games-per-iter 20 --iterations 1 --warmup-updates 1 --warmup-games 32 --eval-deals 4)
else
    device=cuda bench=()
    training=(--games-per-iter 10000 --iterations 500 --warmup-updates 100 --eval-every 0 --eval-deals 500)
    part tests 80 "$python" -m pytest -m gpu tests
fi
part device 10 "$python" -c "import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu')"
for what in self-play engine net search train; do
    part "bench-$what" 35 "$python" bench.py "$what" --device "$device" "${bench[@]}" --json "$folder/bench-$what.json"
done
if [ "$device" = cuda ]; then # compiling takes a minute or so for every size of a batch
    compiled=(--device cuda --compile)
    part bench-compiled 80 "$python" bench.py "${compiled[@]}" --batches 16384 --json "$folder/bench-compiled.json"
    part bench-float8 60 "$python" bench.py "${compiled[@]}" --precision float8 --batches 16384 --json "$folder/bench-float8.json"
    part bench-net-compiled 40 "$python" bench.py net "${compiled[@]}" --batches 32768 --json "$folder/bench-net-compiled.json"
fi
part agreement 30 "$python" bench.py agreement --weights agents/blob-1-13.safetensors --device "$device" "${bench[@]}" \
    --json "$folder/agreement.json"
run=$(mktemp -d)/run
# Training goes on for as long as there is time; Ctrl+C, which timeout sends, saves the run.
echo "== training"
timeout --signal=INT --kill-after=30 "${TRAIN_SECONDS:-105}" \
    "$python" train.py --device "$device" "${training[@]}" --run "$run" 2>&1 | tee "$folder/training.log"
case ${PIPESTATUS[0]} in 0 | 124 | 130) ;; *) echo "== training failed" && failed=1 ;; esac
cp "$run"/config.json "$run"/metrics.jsonl "$folder"/ || failed=1
cp "$(ls "$run"/network-*.safetensors | tail -1)" "$folder"/ || failed=1
[ -f "$run/results.json" ] && cp "$run/results.json" "$folder"/
exit $failed
