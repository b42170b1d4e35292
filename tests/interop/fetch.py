"""Puts the communication module of LEADS, the Python original, into target/leads, where the tests in this folder look for it.

It comes from PyPI, by pip. When it is there already nothing is done; when it cannot be had the exit code is 1.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target"
WANTED = "leads/comm/", "leads/callback.py", "leads/os.py"


def main():
    if (TARGET / "leads" / "leads" / "comm").is_dir():
        print("LEADS is in target/leads")
        return 0
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TARGET) as folder:
        folder = pathlib.Path(folder)
        # For the version that is wanted, whichever Python runs here; one file, and this one, by its hash.
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", "--python-version", "3.12", "--dest", folder, "-r", HERE / "leads.txt"]
        if subprocess.run(pip).returncode != 0:
            print("LEADS cannot be had from PyPI", file=sys.stderr)
            return 1
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(folder / "module", [name for name in wheel.namelist() if name.startswith(WANTED)])
        # The package's own loads what it does not need here.
        (folder / "module" / "leads" / "__init__.py").touch()
        shutil.move(folder / "module", TARGET / "leads")
    print("LEADS is now in target/leads")
    return 0


sys.exit(main())
