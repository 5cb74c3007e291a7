"""Pages about experiments inside Flower; they show and change nothing."""
