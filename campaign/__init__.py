"""The rooms people use: spec, spaces, screen -> propose -> record, rationale, report, and the Campaign itself."""
