"""Paginated APIs: pages a second into committed Delta, beside a bare client and a peer."""
