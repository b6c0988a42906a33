"""Networks for a game; saved ones by the run or file that a command line names, and the rules they are trained for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from net import PRESETS, BlobNet, NetConfig
from vecgame import Game, game_of
from veclab.agents.checkpoint import load_metadata, load_network
from veclab.agents.folder import CONFIG, NEWEST, read_config
from veclab.game_flags import DEFAULTS, RULES, canonical, described, flags_of, games_of, moved, overlaid
from veclab.presets import from_flags
from veclab.settings import Settings

T = TypeVar("T")
ATTEMPTS = 20  # at reading what a run at work replaces; each takes moments, and a run seconds to the next checkpoint
NUMBERED = re.compile(r"network-(update-)?([0-9]{1,18})")  # files of a run's networks, without those of `NEWEST`


def network_config(
    preset: str, game: Game, scalar: bool = False, tricks: bool = False, critic: bool = False
) -> NetConfig:
    """A network of that size for the game's observations, actions and seats.

    Args:
        preset: a name in `net.PRESETS`.
        scalar: one value, the mover's, instead of one for each seat.
        tricks: with the head that tells how many tricks each seat will win.
        critic: with the one that values positions seeing the other hands.
    """
    return replace(
        PRESETS[preset],
        observation=game.features,
        actions=game.num_actions,
        values=1 if scalar else game.seats,
        # Whatever the number of cards, it tells all numbers of tricks apart that the deck has room for.
        tricks=game.layout.size // game.seats + 1 if tricks else 0,
        critic=(game.seats - 1) * game.layout.size if critic else 0,
    )


def saved_networks(paths: Sequence[Path], most: int) -> dict[str, Path]:
    """The networks of runs (folders) and files, by name: the folder's and `label`, as in ``NAME/network-000010``.

    Args:
        most: networks of one run, at most; of more, evenly spaced ones with the first and the last among them.

    Raises:
        ValueError: when a run has none, a path does not exist, or two have one name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for network in _spread(_networks_of(path), most) if path.is_dir() else [path]:
            if not network.is_file():
                raise ValueError(f"{network} is neither a run's folder nor a network-*.safetensors")
            name = f"{network.resolve().parent.name}/{label(network)}"
            if found.setdefault(name, network).resolve() != network.resolve():
                raise ValueError(f"{found[name]} and {network} would both be called {name}; rename a folder")
    return found


def newest_network(path: Path) -> Path:
    """The file itself, or of a run's folder the network that has learned most, be the run over, stopped or killed.

    Raises:
        ValueError: when a folder holds no network.
    """
    return _networks_of(path)[-1] if path.is_dir() else path


def progress_of(network: Path) -> tuple[int, int]:
    """How far a run was when it saved a network: iterations and updates, as the file's header says.

    Networks of runs that did not save the updates read 0 of them.

    Raises:
        ValueError: in one line, when the file is damaged or something else.
    """
    metadata = load_metadata(network)
    return metadata.get("iteration", 0), metadata.get("updates", 0)


def settled(paths: Sequence[Path], read: Callable[[], T]) -> T:
    """What ``read`` makes of runs (folders) and networks' files, all of it of one moment: a run at work replaces its
    `NEWEST`, and names, digests and weights that are read one after the other might be of different networks.

    Args:
        read: is called again where one was replaced meanwhile, or removed for a numbered one, even if it failed then.

    Raises:
        ValueError: as ``read``; in one line, where it never comes to an end in time.
    """
    for _ in range(ATTEMPTS):
        before = [_state_of(path) for path in paths]
        try:
            found = read()
        except (ValueError, OSError):
            if [_state_of(path) for path in paths] == before:
                raise
            continue
        after = [_state_of(path) for path in paths]
        if after == before:
            return found
    changed = next(path for path, old, new in zip(paths, before, after, strict=True) if old != new)
    raise ValueError(f"{changed} is written again faster than it can be read; name a network-NNNNNN.safetensors")


def _state_of(path: Path) -> tuple[int, ...] | None:
    """What tells the file that may be replaced from the next one of its name; None where there is none."""
    try:
        told = (path / NEWEST if path.is_dir() else path).stat()
    except OSError:
        return None
    return told.st_dev, told.st_ino, told.st_mtime_ns, told.st_size


def how_far(network: Path) -> str:
    """Of the file `NEWEST`, which becomes another network as its run goes on, how far that was; else nothing.

    Raises:
        ValueError: see `progress_of`.
    """
    if network.name != NEWEST:
        return ""
    told = load_metadata(network)
    if "imitated" in told:  # that it has learned from, while its run imitates
        return f" ({told['imitated']:,} games imitated)"
    iteration, updates = told.get("iteration", 0), told.get("updates", 0)
    return f" (iteration {iteration})" if iteration else f" (update {updates})"


def label(network: Path) -> str:
    """What to call a network among others: its file's name, and `how_far` where that does not say."""
    return network.stem + how_far(network)


def _networks_of(run: Path) -> list[Path]:
    """The networks of a run from the first to the newest, one at least."""
    networks = numbered(run)
    newest = run / NEWEST
    if newest.is_file() and (not networks or _is_newer(newest, networks[-1])):
        networks.append(newest)
    if not networks:
        raise ValueError(f"{run} holds no network: it has no network-*.safetensors")
    return networks


def networks_beyond(run: Path, iteration: int, updates: int) -> list[Path]:
    """The numbered networks of a run that has come so far which tell, by their names, of more."""
    return [network for network in numbered(run) if _place_of(network) > (iteration, updates)]


def numbered(run: Path) -> list[Path]:
    """The numbered networks of a run, from the first on."""
    networks = [file for file in run.glob("network-*.safetensors") if NUMBERED.fullmatch(file.stem)]
    return sorted(networks, key=_place_of)


def numbers_of_networks(run: Path) -> list[tuple[bool, int]]:
    """The numbers of a run's networks, by their files' names, those of updates with True."""
    found = (NUMBERED.fullmatch(file.stem) for file in run.glob("network-*.safetensors"))
    return [(match[1] is not None, int(match[2])) for match in found if match]


def _place_of(network: Path) -> tuple[int, int]:
    """The iteration and, before the first, the update that a network's name tells."""
    update, number = NUMBERED.fullmatch(network.stem).groups()
    return (0, int(number)) if update else (int(number), 0)


def _is_newer(newest: Path, last: Path) -> bool:
    """Whether the network that a run saved with its checkpoint has learned more than its last numbered one."""
    iteration, updates = progress_of(newest)
    return iteration > _place_of(last)[0] or (iteration, updates) > progress_of(last)


def _spread(networks: list[Path], most: int) -> list[Path]:
    """All of them, or ``most`` at even distances with the first and the last among them; of one the last."""
    if len(networks) <= most:
        return networks
    if most == 1:
        return networks[-1:]
    return [networks[round(number * (len(networks) - 1) / (most - 1))] for number in range(most)]


@dataclass(frozen=True)
class Agent:
    """A trained network and what it was trained for."""

    path: Path
    network: BlobNet  # in float32, for evaluation; `net.InferenceNet` makes it fast
    games: tuple[Game, ...]  # one for each number of cards
    settings: Settings  # with the rules of these games


def load_agent(path: str | Path, device: str | torch.device = "cpu") -> Agent:
    """A saved network, or the newest one of a run's folder, with its games.

    Raises:
        ValueError: in one line, where there is none, it is damaged, or its game cannot be had.
    """

    def read() -> Agent:
        network = newest_network(Path(path))
        settings = settings_for(network, {})
        games = settings.games()
        return Agent(network, load_network(network, device, games[0]), games, settings)

    return settled([Path(path)], read)


@dataclass(frozen=True)
class Saved:
    """A saved network, and what is to be said of it."""

    path: Path
    network: BlobNet  # in float32
    far: str  # `how_far`
    other_rules: str | None  # see there

    @property
    def told(self) -> str:
        """Its path, and how far it was where that does not say."""
        return f"{self.path}{self.far}"

    @property
    def label(self) -> str:
        """See `label`."""
        return f"{self.path.stem}{self.far}"


def read_saved(path: Path, settings: Settings, device: str | torch.device, game: Game) -> Saved:
    """A saved network, or the newest one of a run's folder, that shall play a game, with all of one moment.

    Raises:
        ValueError: as `load_network`.
    """

    def read() -> Saved:
        network = newest_network(path)
        net = load_network(network, device, game)
        return Saved(network, net, how_far(network), other_rules(network, settings))

    return settled([path], read)


def settings_for(path: Path, given: dict[str, object], default: dict[str, object] | None = None) -> Settings:
    """Settings with the rules that a saved network, or the newest of a run, was trained by, and the given ones in their
    place. What that changes of the rules, `other_rules` says.

    Args:
        default: rules where no file says any.

    Raises:
        ValueError: in one line, where nothing says the rules, or the game cannot be had any more.
    """
    if path.is_dir() and not (path / CONFIG).is_file():
        path = newest_network(path)
    told = trained_by(path, given.get("game")) or default
    if told is None:  # a network of an older version, away from its run, which named its game alone
        told = {"game": load_metadata(path).get("game", "blob")}
        if not any(name in given for name in RULES):
            raise ValueError(
                f"{path} does not say its rules; give --game {told['game']}, with --rules if it has others"
            )
    return from_flags("document", overlaid(told, given))


def trained_by(path: Path, found: str | None = None) -> dict[str, object] | None:
    """The settings that say by which rules a network was trained: what its file says, else the run that it lies in.

    Args:
        path: a network's file or a run's folder.
        found: where the game is to be had now, if it is the same one in another place.

    Raises:
        ValueError: in one line, when the file is damaged, or its game cannot be had.
    """
    folder = path if path.is_dir() else path.resolve().parent
    games = [] if path.is_dir() else load_metadata(path).get("games", [])
    if not games and not (folder / CONFIG).is_file():
        return None
    config = {} if games else read_config(folder)
    kept = games[0]["game"] if games else config.get("game", "blob")
    games, config = [moved(one, found) for one in games], moved(config, found)
    try:
        if games:
            return flags_of([game_of(one) for one in games])
        return canonical({**DEFAULTS, **{name: config[name] for name in RULES if name in config}})
    except ValueError as error:
        raise ValueError(f"{path} is for the game {kept}: {error}") from None


def other_rules(path: Path, settings: Settings) -> str | None:
    """What to say where a network shall play by other rules than it was trained by, in one line; None where it does
    not, or nothing says what it was trained by."""
    told = trained_by(path, settings.game)
    if told is None or set(settings.games()) <= set(games_of(told)):
        return None
    return f"by other rules than {path} was trained by: {settings.describe()}, not {described(told)}"
