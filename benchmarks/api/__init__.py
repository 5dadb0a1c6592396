"""Paginated APIs: pages a second into committed Delta, alongside a bare client and a peer."""
