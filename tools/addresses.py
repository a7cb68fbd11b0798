"""The two addresses of the course, from the one place that states them (pyproject.toml), and every link that is made of them."""

import re
from pathlib import Path
from urllib.parse import quote, urlencode

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings this one there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BOOK = _PROJECT["project"]["urls"]["Documentation"]
REPOSITORY = _PROJECT["project"]["urls"]["Repository"]
BRANCH, FOLDER, HUB = (_PROJECT["tool"]["dlnotes"][key] for key in ("branch", "folder", "hub"))
VERSION = re.search(r'(?m)^__version__ = "([^"]+)"', (ROOT / "dlnotes" / "__init__.py").read_text(encoding="utf-8")).group(1)
WHEEL = f"dlnotes-{VERSION}-py3-none-any.whl"


def launch_links(stem: str) -> dict[str, str]:
    """Where one click opens a chapter's notebook, by platform. JupyterHub's is a form for the reader's hub unless ``hub`` is set."""
    owner, name = REPOSITORY.split("/")[-2:]
    notebook = f"{FOLDER}/{stem}.ipynb"
    pull = {"repo": REPOSITORY, "branch": BRANCH, "urlpath": f"lab/tree/{name}/{notebook}"}
    hub = f"{HUB.rstrip('/')}/hub/user-redirect/git-pull" if HUB else "https://nbgitpuller.readthedocs.io/en/latest/link.html"
    return {"Colab": f"https://colab.research.google.com/github/{owner}/{name}/blob/{BRANCH}/{notebook}",
            "Kaggle": f"https://kaggle.com/kernels/welcome?src={REPOSITORY}/blob/{BRANCH}/{notebook}",
            "JupyterHub": f"{hub}?{urlencode(pull, safe='/:')}",
            "Binder": f"https://mybinder.org/v2/gh/{owner}/{name}/{quote(BRANCH, safe='')}?urlpath=lab/tree/{notebook}"}
