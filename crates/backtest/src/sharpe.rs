use forecastle_core::{Error, Result};
use statrs::consts::EULER_MASCHERONI;
use statrs::distribution::{ContinuousCDF, Normal};

/// Computes the probability that the true Sharpe ratio is above a benchmark.
///
/// ```text
/// Φ( (SR − SR*) √(n − 1) / √(1 − γ₃ SR + (γ₄ − 1)/4 · SR²) )
/// ```
///
/// Ratios are per period, not annual; γ₄ is 3 for normal returns.
///
/// - `sharpe`, `benchmark`: mean by standard deviation of `n` returns, and what it is held against
/// - `skewness`, `kurtosis`: γ₃ and γ₄ of the returns
///
/// # Errors
/// - [`Error::InvalidParameter`] when a number is not finite, or `n` is below 2.
/// - [`Error::Numerical`] when the moments leave the estimate no variance, which no returns have.
///
/// # References
/// D. H. Bailey, M. López de Prado, "The Sharpe ratio efficient frontier", *Journal of Risk* 15 (2012),
/// 3–44, doi:10.21314/JOR.2012.255.
///
/// # Examples
/// ```
/// use forecastle_backtest::probabilistic_sharpe_ratio;
///
/// // Two years of months whose Sharpe ratio of 0.458 a month (1.59 a year) impresses less with the
/// // moments that they have than with normal ones.
/// assert!((probabilistic_sharpe_ratio(0.458, 0.0, 24, -2.448, 10.164)? - 0.913).abs() < 5e-4);
/// assert!((probabilistic_sharpe_ratio(0.458, 0.0, 24, 0.0, 3.0)? - 0.982).abs() < 5e-4);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn probabilistic_sharpe_ratio(
    sharpe: f64,
    benchmark: f64,
    n: usize,
    skewness: f64,
    kurtosis: f64,
) -> Result<f64> {
    check_length(n)?;
    let variance = variance_factor(sharpe, benchmark, skewness, kurtosis)?;
    let z = (sharpe - benchmark) * ((n - 1) as f64 / variance).sqrt();
    Ok(Normal::standard().cdf(z))
}

/// Computes the highest Sharpe ratio to be expected of `n_trials` trials that are worth nothing.
///
/// ```text
/// √V · ( (1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e)) )
/// ```
///
/// with Euler's constant γ and the variance V of the trials' Sharpe ratios; 0 for a single trial.
/// Trials that resemble each other are fewer than N: the figure is cautious.
///
/// # Errors
/// - [`Error::InvalidParameter`] when `n_trials` is 0, or the variance below 0 or not finite.
///
/// # References
/// D. H. Bailey, M. López de Prado, "The deflated Sharpe ratio: correcting for selection bias,
/// backtest overfitting, and non-normality", *Journal of Portfolio Management* 40 (2014), 94–107,
/// doi:10.3905/jpm.2014.40.5.094.
///
/// # Examples
/// ```
/// // 100 trials, whose annual Sharpe ratios have the variance ½; 250 days a year.
/// let expected = forecastle_backtest::expected_maximum_sharpe(100, 0.5 / 250.0)?;
/// assert!((expected - 0.1132).abs() < 5e-5);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn expected_maximum_sharpe(n_trials: usize, trial_variance: f64) -> Result<f64> {
    if n_trials == 0 {
        return Err(Error::invalid_parameter("n_trials", ">= 1", 0));
    }
    if !(trial_variance >= 0.0 && trial_variance.is_finite()) {
        let requirement = ">= 0 and finite";
        return Err(Error::invalid_parameter("trial_variance", requirement, trial_variance));
    }
    if n_trials == 1 {
        return Ok(0.0);
    }
    let normal = Normal::standard();
    let tail = 1.0 / n_trials as f64;
    // By symmetry, from the lower tail: 1 − tail would round for a large N.
    let quantile = |tail: f64| -normal.inverse_cdf(tail);
    let expected = (1.0 - EULER_MASCHERONI) * quantile(tail)
        + EULER_MASCHERONI * quantile(tail / std::f64::consts::E);
    Ok(trial_variance.sqrt() * expected)
}

/// Computes the probability that the best of several trials has a true Sharpe ratio above what luck
/// gives.
///
/// The [`probabilistic_sharpe_ratio`] against [`expected_maximum_sharpe`]. Ratios and their variance
/// are per period, not annual.
///
/// # Errors
/// - [`Error::InvalidParameter`] when a number is not finite, `n` is below 2, `n_trials` 0, or the
///   variance below 0.
/// - [`Error::Numerical`] when the moments leave the estimate no variance.
///
/// # References
/// D. H. Bailey, M. López de Prado, "The deflated Sharpe ratio: correcting for selection bias,
/// backtest overfitting, and non-normality", *Journal of Portfolio Management* 40 (2014), 94–107,
/// doi:10.3905/jpm.2014.40.5.094.
///
/// # Examples
/// ```
/// use forecastle_backtest::deflated_sharpe_ratio;
///
/// // Five years of days with an annual ratio of 2.5, the best of 100: less than 95 % sure.
/// let daily = 2.5 / 250_f64.sqrt();
/// let deflated = deflated_sharpe_ratio(daily, 1250, -3.0, 10.0, 100, 0.5 / 250.0)?;
/// assert!((deflated - 0.9004).abs() < 5e-5);
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn deflated_sharpe_ratio(
    sharpe: f64,
    n: usize,
    skewness: f64,
    kurtosis: f64,
    n_trials: usize,
    trial_variance: f64,
) -> Result<f64> {
    let benchmark = expected_maximum_sharpe(n_trials, trial_variance)?;
    probabilistic_sharpe_ratio(sharpe, benchmark, n, skewness, kurtosis)
}

/// Computes how many returns it takes to say that a Sharpe ratio is above a benchmark.
///
/// ```text
/// 1 + (1 − γ₃ SR + (γ₄ − 1)/4 · SR²) · (Φ⁻¹(confidence) / (SR − SR*))²
/// ```
///
/// `None` when the ratio is not above the benchmark: no record is long enough then. Ratios are per
/// period, not annual.
///
/// # Errors
/// - [`Error::InvalidParameter`] when a number is not finite, or `confidence` is not between ½ and 1.
/// - [`Error::Numerical`] when the moments leave the estimate no variance.
///
/// # References
/// D. H. Bailey, M. López de Prado, "The Sharpe ratio efficient frontier", *Journal of Risk* 15 (2012),
/// 3–44, doi:10.21314/JOR.2012.255.
///
/// # Examples
/// ```
/// use forecastle_backtest::minimum_track_record_length;
///
/// // Months with an annual ratio of 2, held against 1: 3.24 years if they are normal.
/// let monthly = |annual: f64| annual / 12_f64.sqrt();
/// let needed = minimum_track_record_length(monthly(2.0), monthly(1.0), 0.0, 3.0, 0.95)?;
/// assert!(needed.is_some_and(|months| (months / 12.0 - 3.24).abs() < 5e-3));
/// # Ok::<(), forecastle_core::Error>(())
/// ```
pub fn minimum_track_record_length(
    sharpe: f64,
    benchmark: f64,
    skewness: f64,
    kurtosis: f64,
    confidence: f64,
) -> Result<Option<f64>> {
    if !(confidence > 0.5 && confidence < 1.0) {
        return Err(Error::invalid_parameter("confidence", "between 0.5 and 1", confidence));
    }
    let variance = variance_factor(sharpe, benchmark, skewness, kurtosis)?;
    if sharpe <= benchmark {
        return Ok(None);
    }
    let z = Normal::standard().inverse_cdf(confidence) / (sharpe - benchmark);
    Ok(Some(1.0 + variance * z * z))
}

fn check_length(n: usize) -> Result<()> {
    if n < 2 { Err(Error::invalid_parameter("n", ">= 2", n)) } else { Ok(()) }
}

/// n times the variance of the estimate of a Sharpe ratio.
fn variance_factor(sharpe: f64, benchmark: f64, skewness: f64, kurtosis: f64) -> Result<f64> {
    for (name, value) in [
        ("sharpe", sharpe),
        ("benchmark", benchmark),
        ("skewness", skewness),
        ("kurtosis", kurtosis),
    ] {
        if !value.is_finite() {
            return Err(Error::invalid_parameter(name, "finite", value));
        }
    }
    let variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe;
    if variance > 0.0 && variance.is_finite() {
        Ok(variance)
    } else {
        Err(Error::numerical("Sharpe ratio", format!("the estimate's variance is {variance}")))
    }
}
