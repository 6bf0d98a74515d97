"""Full-reference image metrics; every number names the protocol it was computed under."""
