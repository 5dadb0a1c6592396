"""The deployments of this project: what a server needs (``server.yaml``, ``pools/``), and the demo."""

# Names that 0.1 had below this package are found while headworks is imported.
import headworks as headworks
