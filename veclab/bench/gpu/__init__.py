"""All figures from minutes on a GPU: what `benchmarks/gpu_all.sh` runs.

A driver (`veclab.bench.gpu_all`, without PyTorch) tells a worker process part after part (`plan`), and replaces it when
a part has failed. The worker (`worker`) runs what a part is made of (`work`) and tells of every row.
"""
