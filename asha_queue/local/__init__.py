"""What a run keeps beside itself on this machine: server, workers, Flower."""
