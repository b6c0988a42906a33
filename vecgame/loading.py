"""Things of a user's own files by their address: ``FILE.py:NAME``, or ``MODULE:NAME`` of what can be imported, which
from the current folder can be whatever program runs."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import sys
import sysconfig
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

_modules: dict[Path, ModuleType] = {}  # of the files that have been loaded
_folders: set[Path] = set()  # where these lie, and find each other


def load(address: str) -> object:
    """What stands under a name in a file or module; a file is run once in a process.

    Raises:
        ValueError: in one line, on an address that is none, a file or name that is not there, or a file that fails.
    """
    where, colon, name = address.rpartition(":")
    if not colon or not where or not name:
        raise ValueError(f"{address!r} is no FILE.py:NAME or MODULE:NAME")
    module = load_module(where)
    if not hasattr(module, name):
        raise ValueError(f"{where} has no {name!r}; {nearest(name, _meant(module)) or 'it is empty'}")
    return getattr(module, name)


def _meant(module: ModuleType) -> list[str]:
    """The names in a module that an address may mean: of what it or a part of it defines, if that is anything, rather
    than what it imports or counts by."""
    things = {name: thing for name, thing in vars(module).items() if not isinstance(thing, ModuleType)}
    places = {name: getattr(thing, "__module__", None) for name, thing in things.items() if not name.startswith("_")}
    return [name for name, place in places.items() if f"{place}.".startswith(f"{module.__name__}.")] or list(places)


def load_module(where: str) -> ModuleType:
    """The module of a ``FILE.py``, or of a name that can be imported. Raises ValueError, in one line, if it fails."""
    try:
        if where.endswith(".py"):
            return _of_file(Path(where))
        _look_here()
        return importlib.import_module(where)
    except (Exception, SystemExit) as error:  # as of a script, which would end the program that loads it
        said = " ".join(str(error).split())
        raise ValueError(f"{where} cannot be loaded: {type(error).__name__}: {said}") from error


def can_import(name: str) -> bool:
    """Whether there is a module of that name."""
    _look_here()
    try:
        return importlib.util.find_spec(name) is not None
    except Exception:  # of what it is in, which is loaded to find it
        return False


def _look_here() -> None:
    """Has modules found in the current folder, as `python FILE.py` has; an installed command would not look there."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def absolute(address: str) -> str:
    """An address that is the same in every folder, as that of a ``FILE.py`` is not."""
    where, colon, name = address.rpartition(":")
    return f"{Path(where).resolve()}:{name}" if colon and where.endswith(".py") else address


def lasting(address: str) -> str:
    """An address by which other processes find the same thing, in whatever folder they run: as `absolute`, and of a
    module that is a file of its own in one's folder that file in its place. Loads it.

    Raises:
        ValueError: in one line, when the file or module fails.
    """
    where, _, name = address.rpartition(":")
    module = load_module(where)
    file = getattr(module, "__file__", None)
    if where.endswith(".py") or file is None or module.__package__ or _is_everywhere(file):
        return absolute(address)
    return f"{Path(file).resolve()}:{name}"


def nearest(name: str, known: Iterable[str], these: str = "there are") -> str:
    """What to say to somebody who has named something that is not known: the nearest name, and all that there are."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return (f"the nearest is {near[0]}; " if near else "") + (f"{these} {', '.join(known)}" if known else "")


def _of_file(path: Path) -> ModuleType:
    """The module of a file, which other files import by its name once it is loaded."""
    path = path.resolve()
    if path in _modules:  # a scoring is asked for at every leaf of a search
        return _modules[path]
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path):
            return _modules.setdefault(path, module)
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    _look_beside(path)
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_{abs(hash(str(path))):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return _modules.setdefault(path, module)


def _look_beside(path: Path) -> None:
    """Has a file find those beside it by ``import NAME``, now and later, after all that is installed. Where it imports
    what is called like one of them, a warning says so.

    Raises:
        ImportError: where that is a file of another such folder, which is found, or has been loaded, in its place.
    """
    importlib.invalidate_caches()  # the files may have been written a moment ago
    _folders.add(path.parent)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    for name in _imported(path):
        beside = {path.parent / f"{name}.py", path.parent / name / "__init__.py"}
        if not any(map(Path.is_file, beside)):
            continue
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec.has_location else Path(spec.origin or name)
        if found not in beside and {found.parent, found.parent.parent} & {*_folders, Path.cwd()}:
            raise ImportError(f"it imports {name}, which is another file of that name: {found}; call one otherwise")
        if found not in beside:
            told = f"{path} imports {name}, which is {found} and not the file beside it: call that otherwise"
            warnings.warn(told, stacklevel=2)


def _imported(path: Path) -> list[str]:
    """The first parts of the modules' names that a file imports; none of a file that is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):  # which running it will tell
        return []
    names = [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def address_of(thing: type | object) -> str:
    """The address of a class or function at the top of a file or module.

    Raises:
        ValueError: in one line, if it stands nowhere that another process could load it from.
    """
    name, module = thing.__qualname__, sys.modules.get(thing.__module__)
    file = getattr(module, "__file__", None)
    if file is None or "." in name or "<" in name or getattr(module, name, None) is not thing:
        raise ValueError(f"{name} cannot be found again by another process: put it at the top of a file")
    return f"{thing.__module__ if _is_everywhere(file) else Path(file).resolve()}:{name}"


def _is_everywhere(file: str) -> bool:
    """Whether every process can import what stands in a file."""
    return any(Path(file).is_relative_to(folder) for folder in (sysconfig.get_path("purelib"), Path(__file__).parent))
