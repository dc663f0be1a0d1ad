"""What runs: the command line, and Prefect flows over the campaign's functions."""
