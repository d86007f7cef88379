"""What every simulated service is made from: a synthetic market, scripted faults, a clock that is set."""
