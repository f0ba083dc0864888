"""Run a notebook from top to bottom, by the kernel of this very Python: `python execute.py NOTEBOOK RESULT`."""

import sys

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient


def main(source: str, target: str) -> None:
    notebook = nbformat.read(source, as_version=4)
    kernels = KernelSpecManager(ensure_native_kernel=True, kernel_dirs=[])
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=kernels)
    # An error stays in its cell, and the next one runs: the test shows all of them.
    NotebookClient(notebook, km=manager, timeout=300, allow_errors=True).execute()
    nbformat.write(notebook, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
