"""Automatic failover for PostgreSQL streaming replication: proof before promotion."""

__version__ = "0.1.0"
