"""The games for the tools of others, one module each, none of which is imported unless it is asked for.

- `veclab.doors.pettingzoo_env`: one game as a PettingZoo AEC environment (`pip install 'vecgame[pettingzoo]'`)
- `veclab.doors.gymnasium_env`: one seat as a Gymnasium environment with opponents inside (`pip install
  'vecgame[gymnasium]'`), and in `veclab.doors.gymnasium_vector` that seat in a batch of games
- `veclab.doors.torchrl_env`: a batch of any game as a TorchRL environment (`pip install 'vecgame[torchrl]'`)
- `veclab.doors.openspiel_game`: any game as an OpenSpiel game, ``python_vecgame``, and Blob with all its rules as
  ``python_vecgame_blob`` (`pip install 'vecgame[openspiel]'`)

``pip install 'vecgame[doors]'`` installs all of them. docs/doors.md shows each at work.
"""
