"""qcow2 images in this process: a hostile header never reaches QEMU, and no child process is needed.

Source of every number here: docs/interop/qcow2.txt of QEMU ("the spec" in comments). Why native, what is refused and
how our own images are laid out: docs/adr/0003-qcow2-in-process.md. Whatever reads or writes a file here may raise
StorageError (an I/O error), whether its docstring says so or not.
"""
