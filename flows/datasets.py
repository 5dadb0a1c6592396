"""The datasets that flows refine, by name: for the flows and commands that are told a name.

What belongs here: that list. What does not: the declarations (``shop.datasets``).
"""

from __future__ import annotations

from headworks.errors import SettingsError
from headworks.silver.dataset import Dataset, refuse_unknown_datasets
from shop import datasets

DATASETS: dict[str, Dataset] = {dataset.name: dataset for rank in datasets.IN_ORDER for dataset in rank}
"""In the order in which silver is made: what refers to others comes after them."""
refuse_unknown_datasets(DATASETS)


def dataset_named(name: str) -> Dataset:
    """Return a dataset's declaration; raises `SettingsError` with those that there are."""
    if name not in DATASETS:
        raise SettingsError(f"There is no dataset {name!r}.", do=f"use one of {', '.join(DATASETS)}.")
    return DATASETS[name]
