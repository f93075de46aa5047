#!/bin/bash
# Training, then evaluation, on 4 nodes of 8 GPUs: sbatch examples/slurm_train.sh benchmarks/gretel/gemma-3-1b.toml
# A job that was ended by its time limit is submitted again as it is: training resumes from its last whole checkpoint,
# evaluation from the answers it had kept.
#SBATCH --job-name=harness-train
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=08:00:00
set -euo pipefail
export MAIN=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export EXPERIMENT=$1
for command in train eval; do
  srun bash -c 'accelerate launch --config_file examples/accelerate_4_nodes.yaml --machine_rank $SLURM_NODEID \
    --main_process_ip $MAIN -m harness '"$command"' $EXPERIMENT'
done
