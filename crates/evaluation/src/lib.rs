//! Forecast metrics, Diebold-Mariano, leaderboard and leak meter.
