"""Which objects of `sandbox` have a picture. A cell that ends with one shows it; in a terminal, its text.

`sandbox` itself knows nothing of pictures: IPython is told here what to do with an object of these types. A picture belongs
to the cell that has shown it.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from sandbox import SandboxError

from .card import Card
from .cells import cells
from .untrusted import visible

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: Module and name of a type → module and name of its picture.
PICTURES = {
    ("sandbox.sampling", "Sampler"): ("cgroups", "CgroupsView"),
    ("sandbox.stepper", "Stepper"): ("stepper", "StepperView"),
    ("sandbox.timelines", "Timeline"): ("timeline", "TimelinePicture"),
    ("sandbox.maps.namespaces", "NamespaceMap"): ("namespaces", "NamespacesPicture"),
    ("sandbox.maps.networks", "NetworkMap"): ("networks", "NetworksPicture"),
}


def register(shell: "InteractiveShell") -> None:
    """Tell IPython."""
    cells.follow(shell)
    for kind in PICTURES:
        shell.display_formatter.ipython_display_formatter.for_type_by_name(*kind, _show)  # type: ignore[union-attr]


def unregister(shell: "InteractiveShell") -> None:
    """Take it back."""
    cells.leave(shell)
    formatter = shell.display_formatter.ipython_display_formatter  # type: ignore[union-attr]
    for module, name in PICTURES:
        formatter.deferred_printers.pop((module, name), None)
        for kind in [kind for kind in formatter.type_printers if (kind.__module__, kind.__name__) == (module, name)]:
            formatter.pop(kind)


def _show(shown: Any) -> None:
    """Show an object as its picture, or where there are no widgets as text."""
    if importlib.util.find_spec("anywidget") is None:
        print(visible(str(shown)))
        return
    module, name = PICTURES[type(shown).__module__, type(shown).__name__]
    try:
        getattr(importlib.import_module(f".pictures.{module}", __package__), name)(shown)._ipython_display_()
    except SandboxError as error:  # IPython's formatters would show it with a traceback
        Card.of(error).show()
