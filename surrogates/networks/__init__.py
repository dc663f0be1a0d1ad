"""Parts of networks, as plain functions over stacked parameters: every tensor has a leading member dimension."""
