"""The groups of the ``headworks`` command, one module each, with ``add(commands)`` that puts its parsers in."""
