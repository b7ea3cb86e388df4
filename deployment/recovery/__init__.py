"""Work on earlier runs: recover, roll back by hand, retire, break a lock, complete a report, show the status."""
