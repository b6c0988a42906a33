"""Blob for the tools of others, one module each, none of which is imported unless it is asked for.

- `doors.pettingzoo_env`: one game as a PettingZoo AEC environment (`pip install -e '.[pettingzoo]'`)
- `doors.torchrl_env`: a batch of games as a TorchRL environment (`pip install -e '.[torchrl]'`)
- `doors.openspiel_game`: an OpenSpiel game, registered as ``python_vecgame_blob`` (`pip install -e '.[openspiel]'`)

``pip install -e '.[doors]'`` installs all three. docs/doors.md shows each at work.
"""
