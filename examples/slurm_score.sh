#!/bin/bash
# A million predictions on any number of nodes: 64 shards, then one job that joins them.
#   join=$(sbatch --parsable examples/slurm_score.sh) && sbatch --dependency=afterok:$join --array=1 examples/slurm_score.sh join
# A shard that failed is submitted again by its number (sbatch --array=17 ...); finished ones are reused.
#SBATCH --job-name=harness-score
#SBATCH --array=1-64
#SBATCH --cpus-per-task=8
#SBATCH --mem=20G
#SBATCH --time=01:00:00
set -euo pipefail
OUT=${OUT:-reports/runs/million} # on a file system that all nodes share
if [ "${1:-}" = join ]; then
  exec harness score --join "$OUT"
fi
# of = the size of the whole array, also where one shard is submitted again
exec harness score "${BENCHMARK:-questions.parquet}" "${PREDICTIONS:-predictions.parquet}" --out "$OUT" \
  --shard "${SLURM_ARRAY_TASK_ID}/${OF:-64}" score.cache_dir="${SLURM_TMPDIR:-/tmp}/harness-cache"
