"""What is done with games: training, matches, a table for people, reports, benchmarks, doors to other tools."""
