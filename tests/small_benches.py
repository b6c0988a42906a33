"""The flags that make a benchmark small."""

from veclab.bench.flags_of import REPEATED, SEARCHING, WITH_NETWORK


def small(what: str, simulations: int | None = None) -> list[str]:
    """The benchmark, and of the flags that make it small those that it takes; with so many simulations in one world."""
    flags = [what, "--quick", "--device=cpu"]
    flags += ["--network=small"] * (what in WITH_NETWORK) + ["--repeats=1"] * (what in REPEATED)
    return flags + ["--worlds=1", f"--simulations={simulations}"] * (simulations is not None and what in SEARCHING)
