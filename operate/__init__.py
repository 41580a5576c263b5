"""Commands for who operates the pipeline: a smoke test of a deployment, and what one costs."""
