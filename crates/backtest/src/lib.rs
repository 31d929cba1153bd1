//! Trades decisions on candles with costs, next-open fills and honest statistics.
