"""Folders and object stores of files as sources: CSV, JSON and Parquet, each file exactly once."""
