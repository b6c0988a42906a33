"""Which benchmarks the flags of `vecgame bench` are for.

Nothing here loads PyTorch, which what drives a GPU machine does without.
"""

OF_THE_DOCUMENT = ("strategies", "peers")  # what measures the document's game only
RECORDED = ("self-play", "search", "sweep", "train")  # what a GPU can replay as CUDA graphs
TIMED = ("self-play", "sweep")  # what measures more than the time
COMPILED = (*TIMED, "net")  # what has a network that can be compiled
TRAINED = ("agreement", "people")  # what is measured of a trained network
SEARCHING = ("self-play", "strategies", "search", "agreement", "people", "sweep", "peers")  # what searches
WITH_NETWORK = ("self-play", "strategies", "net", "train", "sweep")  # what has a network of the size that is asked for
REPEATED = ("self-play", "engine", "net", "search", "train", "peers")  # what takes the median of some repeats
BATCHED = (*REPEATED, "strategies", "agreement", "people", "sweep")
SEVERAL = ("self-play", "engine", "net", "search", "train", "people", "peers")  # what has a row for each batch
MERGED = ("self-play", "search", "agreement", "people", "sweep")  # whose searches may take moves that are alike as one
