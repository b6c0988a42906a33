"""The game that flags name: `--game`, `--rules`, `--cards` and the flags that Blob's rules have of their own.

A game can be told in several ways, a rule by a flag or among `--rules`, a file by where it is seen from. `canonical` is
the one that is kept, and from which the same game comes back in every folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby

from vecgame import Blob, Game, address_of, default_rules, game_class, identity, known_as, make_game
from vecgame.cards import MOST_CARDS
from vecgame.loading import nearest

RULES = ("game", "rules", "cards", "trump", "hook", "suits", "ranks")  # the settings that say what is played
BLOB_FLAGS = {"trump": "random", "hook": True, "suits": 4, "ranks": 13}  # rules of Blob with flags, and the defaults
DEFAULTS = {"game": "blob", "rules": "", "cards": "auto", **BLOB_FLAGS}

Flags = Mapping[str, object]
"""Values of `RULES`, or of some of them."""


def canonical(flags: Flags) -> dict[str, object]:
    """The same game, told in the one way that is kept.

    The game by its name or its full address, each rule once, no default among `--rules`, the cards as they are dealt.

    Args:
        flags: a value for each of `RULES`.

    Raises:
        ValueError: in one line, on a game that cannot be had, rules that it does not have, or flags that contradict.
    """
    name, known = _kept_name(flags["game"]), default_rules(flags["game"])
    rules = read_rules(flags["rules"], known)
    told = {**flags, "game": name}
    for flag, default in BLOB_FLAGS.items():
        if name == "blob" and flag in rules:
            if flags[flag] not in (default, rules[flag]):
                raise _contradiction(flag, flags[flag], rules[flag])
            told[flag] = rules[flag]
        elif name != "blob" and flags[flag] != default:
            raise ValueError(f"--{flag} is for blob; other games take --rules {flag}=VALUE if at all")
    own = {flag: told[flag] for flag in BLOB_FLAGS} if name == "blob" else {}
    dealt = _cards(flags["cards"], rules)
    cards = {} if dealt == "auto" or "cards" not in known else {"cards": read_counts(dealt)[0]}
    game = make_game(name, **{**rules, **own, **cards})
    told |= {flag: getattr(game.rules, flag) for flag in own}
    told["cards"] = str(game.cards) if dealt == "auto" else dealt
    kept = {n: getattr(game.rules, n) for n in known if n in rules and n not in ("cards", *own)}
    kept = {n: value for n, value in kept.items() if value != known[n]}
    return {**told, "rules": rules_text(kept)}


def games_of(flags: Flags) -> tuple[Game, ...]:
    """The game for each card count that `canonical` flags name."""
    name, known = flags["game"], default_rules(flags["game"])
    rules = read_rules(flags["rules"], known)
    if name == "blob":
        rules |= {flag: flags[flag] for flag in BLOB_FLAGS}
    counts = read_counts(flags["cards"])
    if "cards" in known:
        return tuple(make_game(name, **{**rules, "cards": cards}) for cards in counts)
    game = make_game(name, **rules)
    if counts != (game.cards,):
        raise ValueError(f"--cards must be {game.cards} in {game.name}, got {flags['cards']!r}")
    return (game,)


def flags_of(games: Sequence[Game]) -> dict[str, object]:
    """The inverse of `games_of`: the canonical flags of games that differ in their cards only.

    Raises:
        ValueError: if they differ in more, or one of them stands nowhere that it could be loaded from.
    """
    told = [identity(game) for game in games]
    names, rules = {one["game"] for one in told}, [dict(one["rules"]) for one in told]
    for one in rules:
        one.pop("cards", None)
    if len(names) != 1 or any(one != rules[0] for one in rules):
        raise ValueError(f"games that differ in more than their cards cannot be named together: {told}")
    cards = counts_text([game.cards for game in games])
    return canonical({"game": names.pop(), "rules": rules_text(rules[0]), "cards": cards, **BLOB_FLAGS})


def identities(games: Sequence[Game]) -> list[dict[str, object]]:
    """What files say of the games that they are about; of what only this process knows, the name alone."""
    told = []
    for game in games:
        try:
            told.append(identity(game))
        except ValueError:
            told.append({"game": game.name, "rules": {}})
    return told


def is_named(kind: type[Game], kept: str) -> bool:
    """Whether a file that names its game so means this class, wherever the class's own file is now."""
    try:
        return game_class(kept) is kind
    except ValueError:  # the file that it was in is gone
        return kept.rpartition(":")[2] == kind.__name__


def moved(kept: Flags, found: str | None) -> Flags:
    """What a file keeps of its game, with the place where it is ``found`` now if it is the same one in another place.

    Raises:
        ValueError: in one line, where no game is found there.
    """
    same = found is not None and is_named(game_class(found), kept.get("game", DEFAULTS["game"]))
    return {**kept, "game": found} if same else kept


def overlaid(base: Flags, given: Flags) -> dict[str, object]:
    """Flags with the given ones in their place, and rules with the given ones in theirs; of another game none stay.

    Raises:
        ValueError: if the given ones contradict each other.
    """
    kept = dict(base)
    if "game" in given and "game" in base and _kept_name(given["game"]) != base["game"]:
        kept = {name: value for name, value in base.items() if name not in RULES}
    if given.get("rules"):
        game = given.get("game", kept.get("game", "blob"))
        known = default_rules(game)
        rules = read_rules(given["rules"], known)
        flags = BLOB_FLAGS if game_class(game) is Blob else ()  # of another game a rule may be called so, not by a flag
        for name in ("cards", *flags):
            if name in rules:
                if name in given and str(given[name]) != str(rules[name]):
                    raise _contradiction(name, given[name], rules[name])
                kept.pop(name, None)
        if "cards" not in known:  # other rules may deal as many as they please
            kept.pop("cards", None)
        rules = {**read_rules(kept.get("rules", ""), known), **rules}
        return {**kept, **given, "rules": rules_text(rules)}
    return {**kept, **given}


def read_rules(text: str, known: Mapping[str, object]) -> dict[str, object]:
    """Reads "NAME=VALUE,..", each value as what its default in ``known`` is; of several in one rule, "3/2/1", each.

    Raises:
        ValueError: on a name that is not known or that comes twice, or a value that cannot be read.
    """
    rules: dict[str, object] = {}
    for part in filter(None, _parts(text, known)):
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            wrong = f"--rules {part!r} is no NAME=VALUE of this game"
            raise ValueError(f"{wrong}; {nearest(name, known, 'its rules are') or 'its rules are fixed'}")
        if name in rules:
            raise ValueError(f"--rules says {name} twice, {_text(rules[name])} and {value}")
        rules[name] = _read(name, value, known[name])
    return rules


def _parts(text: str, known: Mapping[str, object]) -> list[str]:
    """The parts of "NAME=VALUE,...". A comma may also be in the path of an address, which ends with ":NAME"; only rules
    whose default is an empty text take one."""
    parts: list[str] = []
    for part in text.split(","):
        before, _, begun = parts[-1].partition("=") if parts else ("", "", "")
        in_path = known.get(before) == "" and begun and not re.search(r":\w+$", begun)
        if in_path and part.partition("=")[0] not in known:
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    return parts


def rules_text(rules: Mapping[str, object]) -> str:
    """The inverse of `read_rules`."""
    return ",".join(f"{name}={_text(value)}" for name, value in rules.items())


def read_counts(text: str) -> tuple[int, ...]:
    """Card counts of a number, a range such as 3-13, or a list of both.

    Raises:
        ValueError: on anything else, or counts out of range.
    """
    counts: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        try:
            first, last = int(low), int(high or low)
        except ValueError:
            such = "a number, a range such as 3-13, or a list such as 1-13,5,5"
            raise ValueError(f"--cards must be {such}, got {text!r}") from None
        if not 0 <= first <= last <= MOST_CARDS:
            raise ValueError(f"--cards must lie within 0-{MOST_CARDS}, a range from low to high, got {text!r}")
        counts += range(first, last + 1)
    return tuple(counts)


def counts_text(counts: Sequence[int]) -> str:
    """The inverse of `read_counts`: runs of counts as ranges."""
    runs = [[count for _, count in run] for _, run in groupby(enumerate(counts), lambda pair: pair[1] - pair[0])]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def cards_dealt(flags: Flags) -> str:
    """How many cards a seat is dealt, of canonical flags, in words; "" of a game that always deals as many."""
    if "cards" not in default_rules(flags["game"]):
        return ""
    return "1 card" if flags["cards"] == "1" else f"{flags['cards']} cards"


def described(flags: Flags) -> str:
    """The game of canonical flags in a few words."""
    kind = game_class(flags["game"])
    parts = ["Blob" if kind is Blob else kind.name]
    parts += [dealt] if (dealt := cards_dealt(flags)) else []
    if kind is Blob:
        parts += [f"trump {flags['trump']}"] + ["no hook"] * (not flags["hook"])
        parts += [f"{flags[n]} {n}" for n in ("suits", "ranks") if flags[n] != BLOB_FLAGS[n]]
    return ", ".join([*parts, *([flags["rules"]] if flags["rules"] else [])])


def _kept_name(game: str) -> str:
    """The name, or the address, by which every process finds the game; where there is none the name as it is."""
    kind = game_class(game)
    try:
        return known_as(kind)
    except ValueError:  # of a class that stands in no file: only this process knows it
        return game


def _cards(flag: str, rules: dict[str, object]) -> str:
    """What is dealt, by the flag or among the rules; "auto" where neither says it."""
    if "cards" not in rules:
        return flag
    if flag not in ("auto", str(rules["cards"])):
        raise _contradiction("cards", flag, rules["cards"])
    return str(rules["cards"])


def _contradiction(name: str, flag: object, rule: object) -> ValueError:
    shown = ("--hook" if flag else "--no-hook") if name == "hook" else f"--{name} {flag}"
    return ValueError(f"{shown} and --rules {name}={_text(rule)} contradict each other; leave one of them out")


def _read(name: str, value: str, default: object) -> object:
    if isinstance(default, tuple):
        none, floats = ([one for one in default if isinstance(one, kind)] for kind in (type(None), float))
        widest = (*none, *floats, *default, 0)[0]  # such as 0.5 among 1 and 2
        try:
            return tuple(_read(name, part, widest) for part in value.split("/") if value)
        except ValueError:
            such = f" such as {_text(default)}" if default else " with / between them"
            raise ValueError(f"--rules {name} must be numbers{such}, got {value!r}") from None
    if isinstance(default, bool):
        if value not in ("true", "false"):
            raise ValueError(f"--rules {name} must be true or false, got {value!r}")
        return value == "true"
    if isinstance(default, str):  # a seat may stand for a word
        return int(value) if value.isdecimal() else value
    if default is None and value == "none":
        return None
    try:
        return (float if default is None else type(default))(value)
    except ValueError:
        such = "none or a number" if default is None else f"a number such as {default}"
        such = f"a whole number such as {default}" if isinstance(default, int) else such
        raise ValueError(f"--rules {name} must be {such}, got {value!r}") from None


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(map(_text, value))
    if isinstance(value, bool | None):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return address_of(value) if callable(value) else str(value)
