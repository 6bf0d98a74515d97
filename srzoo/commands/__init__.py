"""The commands of ``srzoo``, one per file, listed in ``cli.py``.

A command is a module with ``add_arguments(parser)``, which adds its description, arguments and example, and
``run(arguments)``, which does the work. Imports of torch, OpenCV or pydantic go inside functions, so that ``--help``
answers at once, even where they are not installed.
"""
