"""`python -m veclab COMMAND ..` is the command `vecgame`, for `torchrun -m veclab train ..` too."""

from veclab.cli import main

main()
