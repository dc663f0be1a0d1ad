"""The door to the lab: tables of results in, worksheets out."""
