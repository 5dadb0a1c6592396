"""The flows of this project: what runs, in which order. Each reads as a story; its steps are in ``tasks``."""

# Names that 0.1 had below this package are found while headworks is imported.
import headworks as headworks
