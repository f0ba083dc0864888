"""The notebook's door: `%load_ext kernel_ext` brings `%%container` and the commands of LXC as magics.

It loads nothing that a bare kernel does not have; the engine is imported with the first container.
"""

import importlib.util
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Called by `%load_ext kernel_ext`."""
    from IPython.core.error import UsageError

    if stranger := _foreign_sandbox():
        raise UsageError(
            f"{stranger} hides the package `sandbox`, which kernel_ext needs\n"
            "  → rename that file, then restart the kernel: Python looks beside the notebook first"
        )
    from . import magics

    magics.register(shell)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """Called by `%unload_ext kernel_ext`."""
    from . import magics

    magics.unregister(shell)


def _foreign_sandbox() -> str:
    """The file that `import sandbox` would load (or has loaded), if it is not ours. Nothing of it is run."""
    ours = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sandbox", "__init__.py")
    try:
        found = importlib.util.find_spec("sandbox")
    except ValueError:  # a module made by hand, without a __spec__
        return "a module made in this notebook"
    if found is None:
        return ""
    place = found.origin or ", ".join(found.submodule_search_locations or ())
    return "" if os.path.exists(place) and os.path.realpath(place) == os.path.realpath(ours) else place
