"""China futures by TqSdk: main contracts and their schedule's events, and ticks of scheduled days only."""
