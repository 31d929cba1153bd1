//! Candles from files, a simulator and, later, every exchange.
