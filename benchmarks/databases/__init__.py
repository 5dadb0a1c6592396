"""Databases: tables of TPC-H to committed Delta bronze, alongside COPY to nowhere and alongside other tools."""
