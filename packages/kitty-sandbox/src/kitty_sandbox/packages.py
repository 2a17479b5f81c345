"""How to add a package to the sandbox. The text is for a person to run; nothing here installs anything."""

import re

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
VENV = "~/.local/share/kitty/sandbox"

PACKAGE_NAMES = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "Crypto": "pycryptodome",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "magic": "python-magic",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""Import name -> name on the package index, where the two differ."""


def package_hint(module: str) -> str:
    """The shell lines that give the sandbox `module`. The name comes from a guest, so anything odd gets no command.

    Raises:
        ValueError: `module` is not a plain module name.
    """
    top = module.partition(".")[0]
    if not PLAIN_NAME.fullmatch(top):
        raise ValueError(f"{module!r} is not a module name.")
    package = PACKAGE_NAMES.get(top, top.replace("_", "-"))
    return "\n".join(
        (
            f"python3 -m venv {VENV}",
            f"{VENV}/bin/python -m pip install pytest {package}",
            f"export SANDBOX_PY_PATH={VENV}/bin/python",
        )
    )
