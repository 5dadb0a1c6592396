"""Databases: tables of TPC-H to committed Delta bronze, beside COPY to nowhere and beside other tools."""
