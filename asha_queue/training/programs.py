"""Training programs: named when an experiment is submitted, found and loaded where it is trained.

A program is named by a reference, `file.py:function`. Its file may differ between nodes and may
change while workers run, so

* a worker loads programs only from the folders it was told to (its roots), and a path that leaves
  its root, by `..` or by a link, is refused;
* the bytes that are executed are the ones that were compared with the experiment's digest;
* a file is executed once per (path, content) under a private module name, so that two versions of
  it can be loaded side by side. It is never `__main__`.
* a file that starts a search when it is executed, without asking for `__main__`, is loaded up to
  there: its functions are defined by then, and a search must not start another of itself.
"""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any

from asha_queue.errors import ProgramDiffers, ProgramError

#: Characters of a digest that are shown to people.
SHOWN = 12

#: Names of the modules that were there before the first program was executed.
_before: frozenset[str] = frozenset()
#: Whether one is being executed.
_loading = False
#: The entry of sys.path that is the folder of the program executed last.
_folder: str | None = None


#: Whether one is being loaded to be trained.
_training = False


class _Loaded(BaseException):
    """Raised out of what must not happen while a program is loaded."""


def end_loading() -> None:
    """Called by what starts a search: ends the loading of the program in which that stands."""
    if _loading:
        raise _Loaded


def loading_to_train() -> bool:
    """Whether the program that is executed now was submitted before, and is to be trained."""
    return _training


def resolve(program: str, cwd: Path) -> tuple[str, list[Path]]:
    """The reference by which workers find `program`, `file.py:function` as the user named it, and
    the root that a worker on this machine loads it from.

    The file is named relative to `cwd` when it lies below it, else relative to its own folder. A
    link to it in `cwd`, of the same name, is what names it: in a mounted ConfigMap all files are
    such links, into a folder that has another name in each pod. Raises ProgramError when there is
    no such file.
    """
    file, name = _split(program)
    path = (cwd / file).resolve()
    if not path.is_file():
        raise ProgramError(f"program {file} is not a file in {cwd}; put the function {name} in one")
    root = cwd.resolve()
    if not path.is_relative_to(root):
        root = path.parent
    elif (root / path.name).resolve() == path:
        path = root / path.name
    return f"{path.relative_to(root)}:{name}", [root]


def locate(reference: str, roots: Sequence[Path]) -> Path:
    """The program's file: the first one found in `roots`, with links resolved.

    It is looked for by its path first and then by its name alone, as it may have been submitted
    from another folder: whether it is the same file is for its digest to say. Raises ProgramError
    that names where it looked, or the path that leaves its root.
    """
    file, _ = _split(reference)
    if ".." in PurePath(file).parts:
        raise ProgramError(f"program {file} is refused: its path contains '..'")
    for name in dict.fromkeys((file, PurePath(file).name)):
        for root in roots:
            path = (root / name).resolve()
            if path.is_file() and path.is_relative_to(root.resolve()):
                return path
    looked = ", ".join(str(root) for root in roots) or "no folder at all"
    raise ProgramError(
        f"program {file} not found: looked in {looked}; start the worker with --programs DIR, "
        f"where DIR/{file} is the file and no link out of DIR"
    )


def digest(path: Path) -> str:
    """SHA-256 of the file, in hex."""
    return hashlib.sha256(_read(path)).hexdigest()


def load(reference: str, roots: Sequence[Path], digest: str) -> Callable[..., Any]:
    """The function that `reference` names, from the first of `roots` that has its file.

    Raises ProgramDiffers when the file is not the one with this `digest`, and ProgramError when it
    is not found, cannot be imported, or has no such function.
    """
    file, name = _split(reference)
    path = locate(reference, roots)
    source = _read(path)
    here = hashlib.sha256(source).hexdigest()
    if here != digest:
        raise ProgramDiffers(
            f"program {file} differs: the experiment was submitted with {digest[:SHOWN]}, "
            f"{path} is {here[:SHOWN]}; copy the same file here, or submit the experiment anew"
        )
    global _training
    _training = True
    try:
        module = _execute(path, source)
    finally:
        _training = False
    function = getattr(module, name, None)
    if not callable(function):
        raise ProgramError(f"program {path} has no function {name}; it has: {_functions(module)}")
    return function  # type: ignore[no-any-return]  # callable() is all that can be known of it


def execute(path: Path) -> ModuleType:
    """The module of a file that a user named, such as the one that defines an experiment.

    Raises ProgramError when it cannot be imported.
    """
    return _execute(path, _read(path))


def named(program: str, cwd: Path) -> Callable[..., Any]:
    """The function that a user means by `file.py:function`; ProgramError if there is none."""
    reference, roots = resolve(program, cwd)
    path = locate(reference, roots)
    return load(reference, roots, digest(path))


def require(path: Path, function: str) -> None:
    """Raises ProgramError unless the file binds this name at its top level.

    The file is parsed and not executed: the machine that submits may lack what it imports.
    """
    try:
        tree = ast.parse(_read(path))
    except (SyntaxError, ValueError) as error:
        raise ProgramError(f"program {path} is not valid Python: {error}") from None
    bound = {name for statement in tree.body for name in _bound(statement)}
    if function not in bound and "*" not in bound:
        functions = [s.name for s in tree.body if isinstance(s, ast.FunctionDef)]
        raise ProgramError(
            f"program {path} has no function {function}; it has: {', '.join(functions) or 'none'}"
        )


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement may bind, those in its blocks included."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]


def _split(reference: str) -> tuple[str, str]:
    file, _, name = reference.rpartition(":")
    if not file.endswith(".py") or not name.isidentifier():
        raise ProgramError(f"train is {reference!r}; write it as 'file.py:function'")
    return file, name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProgramError(f"program {path} cannot be read: {error.strerror}") from error


def _execute(path: Path, source: bytes) -> ModuleType:
    _import_siblings_from(path.parent)
    key = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()[:16]
    name = f"_asha_queue_program_{path.stem}_{key}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec  # the file's name ends in .py
    module = module_from_spec(spec)
    # dataclasses and pickle look classes up by their module's name, already while it is executed
    sys.modules[name] = module
    global _loading
    outer, _loading = _loading, True
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except _Loaded:
        pass
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        reason = f"{type(error).__name__}: {error}"
        raise ProgramError(f"program {path} cannot be imported: {reason}") from error
    finally:
        _loading = outer
    return module


def _import_siblings_from(folder: Path) -> None:
    """Makes `import helper` find the helper.py beside the program, as when Python runs the file.

    Modules of that name from another program's folder are forgotten; what was imported before
    the first program stays.
    """
    global _before, _folder
    if _folder is None:
        _before = frozenset(sys.modules)
    elif _folder in sys.path:
        sys.path.remove(_folder)
    _folder = str(folder)
    sys.path.insert(0, _folder)
    for module in list(sys.modules):
        top = module.partition(".")[0]
        if top in _before or not _is_in(folder, top):
            continue
        origin = getattr(sys.modules[module], "__file__", None)
        if origin and not Path(origin).resolve().is_relative_to(folder):
            del sys.modules[module]


def _is_in(folder: Path, module: str) -> bool:
    return (folder / f"{module}.py").is_file() or (folder / module / "__init__.py").is_file()


def _functions(module: ModuleType) -> str:
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    return ", ".join(sorted(own)) or "none"
