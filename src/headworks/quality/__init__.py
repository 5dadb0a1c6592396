"""Rules on rows, contracts on datasets, and the gate that decides. Only this package imports soda."""
