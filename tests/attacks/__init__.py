"""Values made to harm: what a sender could try, and the reason with which each must be refused."""
