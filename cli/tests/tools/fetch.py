"""Puts what others have written in Python into target, where the tests look for it:

    python3 cli/tests/tools/fetch.py mcap     target/mcap: the package of MCAP's authors, which reads recordings
    python3 cli/tests/tools/fetch.py leads    target/leads-data: LEADS's data tools, for Python 3.12 or later
    python3 cli/tests/tools/fetch.py paho     target/paho: a client of MQTT

They come from PyPI, by pip, each file by its hash; leads with the Python that runs this, or the first one that is new
enough. What is there already is left as it is; where something cannot be had the exit code is 1. The last line of
stdout is the Python that can use it.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parent.parent.parent / "target"

# The folder, and the oldest Python.
KITS = {"mcap": ("mcap", (3, 10)), "leads": ("leads-data", (3, 12)), "paho": ("paho", (3, 7))}


def pythons():
    """Those that may be here, this one first."""
    yield sys.executable
    for minor in range(20, 9, -1):
        if path := shutil.which(f"python3.{minor}"):
            yield path
    root = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    yield from sorted(map(str, root.glob("versions/3.*/bin/python3")))


def is_new_enough(python, oldest):
    check = [python, "-c", f"import sys; sys.exit(sys.version_info < {oldest})"]
    return subprocess.run(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def main():
    name, oldest = KITS[sys.argv[1]]
    kit = TARGET / name
    if (kit / "python").is_file():
        print((kit / "python").read_text())
        return 0
    python = next((python for python in pythons() if is_new_enough(python, oldest)), None)
    if python is None:
        print(f"{name} needs Python {oldest[0]}.{oldest[1]}", file=sys.stderr)
        return 1
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TARGET) as folder:
        module = pathlib.Path(folder) / "module"
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary",
               ":all:", "--require-hashes", "--root-user-action", "ignore", "--target", module,
               "-r", HERE / f"{sys.argv[1]}.txt"]
        if subprocess.run(pip).returncode != 0:
            print(f"{name} cannot be had from PyPI", file=sys.stderr)
            return 1
        # The last thing, and so what says that it is all there.
        (module / "python").write_text(python)
        if kit.exists():
            shutil.rmtree(kit)
        module.rename(kit)
    print(python)
    return 0


sys.exit(main())
