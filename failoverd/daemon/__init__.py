import failoverd.transport.spared  # noqa: F401 - before what it spares, whatever of the daemon is imported
