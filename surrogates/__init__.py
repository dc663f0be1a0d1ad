"""What is believed: encode the instances, aggregate them, read out a head; trained, calibrated and explained once."""
