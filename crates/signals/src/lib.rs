//! Rule-based forecast, signal and risk from a row of indicators.
