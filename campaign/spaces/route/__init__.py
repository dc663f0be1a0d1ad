"""Routes: steps with parameters, one after another, under rules of order."""
