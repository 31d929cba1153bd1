//! Linear Kalman filter, local linear trend, likelihood and smoother.
